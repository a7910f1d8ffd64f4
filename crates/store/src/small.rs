//! Bytes that do not change: short ones lie where they are kept, long ones are shared.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use base::InPlace;

/// Up to `N` bytes are kept in place, without an allocation: what reads a row then waits for one place
/// of memory less.
#[derive(Clone)]
pub struct Small<const N: usize>(Repr<N>);

#[derive(Clone)]
enum Repr<const N: usize> {
    InPlace(InPlace<N>),
    Shared(Arc<[u8]>),
}

impl<const N: usize> Small<N> {
    /// The bytes, if they are shared rather than kept in place.
    pub fn shared(&self) -> Option<&Arc<[u8]>> {
        match &self.0 {
            Repr::InPlace(_) => None,
            Repr::Shared(bytes) => Some(bytes),
        }
    }
}

impl<const N: usize> Deref for Small<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::InPlace(bytes) => bytes,
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl<const N: usize> From<&[u8]> for Small<N> {
    fn from(bytes: &[u8]) -> Self {
        Self(InPlace::new(bytes).map_or_else(|| Repr::Shared(bytes.into()), Repr::InPlace))
    }
}

impl<const N: usize> From<Vec<u8>> for Small<N> {
    fn from(bytes: Vec<u8>) -> Self {
        Self(InPlace::new(&bytes).map_or_else(|| Repr::Shared(bytes.into()), Repr::InPlace))
    }
}

impl<const N: usize> Borrow<[u8]> for Small<N> {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl<const N: usize> PartialEq for Small<N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<const N: usize> Eq for Small<N> {}

impl<const N: usize> PartialOrd for Small<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> Ord for Small<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<const N: usize> Hash for Small<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<const N: usize> fmt::Debug for Small<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_wherever_they_are_kept() {
        for len in 0..40_u8 {
            let bytes: Vec<u8> = (0..len).collect();
            let small = Small::<22>::from(&bytes[..]);
            assert_eq!(&*small, &bytes[..]);
            assert_eq!(small, Small::from(bytes.clone()));
            assert_eq!(small.shared().is_some(), len > 22);
            let longer = Small::<22>::from([&bytes[..], &[0]].concat());
            assert!(small < longer && small != longer);
        }
    }

    #[test]
    fn a_small_value_takes_three_words_and_none_is_free() {
        assert_eq!(size_of::<Option<Small<22>>>(), 24);
        assert_eq!(size_of::<Option<Small<46>>>(), 48);
    }
}
