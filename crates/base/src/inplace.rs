//! A few bytes kept in place, without an allocation.

use std::ops::Deref;

/// Up to `N` bytes.
#[derive(Clone, Copy)]
pub struct InPlace<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> InPlace<N> {
    /// `None` if there are more.
    #[inline]
    pub fn new(source: &[u8]) -> Option<Self> {
        const { assert!(N <= u8::MAX as usize) };
        let mut bytes = [0; N];
        bytes.get_mut(..source.len())?.copy_from_slice(source);
        Some(Self { len: source.len() as u8, bytes })
    }
}

impl<const N: usize> Deref for InPlace<N> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}
