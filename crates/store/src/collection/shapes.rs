//! Up to which size a collection is packed into its key's record: Redis' settings, which may change
//! while the node runs. They matter where something is written, and are not part of what is kept.

use crate::setting::Setting;

#[derive(Debug)]
pub struct Shapes {
    pub list_max_listpack_size: Setting,
    pub hash_max_listpack_entries: Setting,
    pub hash_max_listpack_value: Setting,
    pub set_max_intset_entries: Setting,
    pub set_max_listpack_entries: Setting,
    pub set_max_listpack_value: Setting,
    pub zset_max_listpack_entries: Setting,
    pub zset_max_listpack_value: Setting,
}

impl Default for Shapes {
    fn default() -> Self {
        Self {
            list_max_listpack_size: Setting::new(-2),
            hash_max_listpack_entries: Setting::new(512),
            hash_max_listpack_value: Setting::new(64),
            set_max_intset_entries: Setting::new(512),
            set_max_listpack_entries: Setting::new(128),
            set_max_listpack_value: Setting::new(64),
            zset_max_listpack_entries: Setting::new(128),
            zset_max_listpack_value: Setting::new(64),
        }
    }
}

/// What a packed collection may have at most, whatever the settings say: it is read and written whole.
const PACKED_BYTES_MAX: usize = 64 << 10;
/// Where a list is bounded by its number of items.
const SAFE_BYTES_MAX: usize = 8 << 10;

/// Up to which number and size of entries a collection is packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) entries: usize,
    pub(crate) value_bytes: usize,
}

impl Bounds {
    /// Whether a collection of so many entries and bytes may be packed.
    pub(crate) fn allow(self, entries: usize, bytes: usize) -> bool {
        entries <= self.entries && bytes <= PACKED_BYTES_MAX
    }

    pub(crate) fn allow_value(self, value: &[u8]) -> bool {
        value.len() <= self.value_bytes
    }
}

impl Shapes {
    pub(crate) fn hash(&self) -> Bounds {
        Bounds {
            entries: self.hash_max_listpack_entries.size(),
            value_bytes: self.hash_max_listpack_value.size(),
        }
    }

    pub(crate) fn set(&self) -> Bounds {
        Bounds {
            entries: self.set_max_listpack_entries.size(),
            value_bytes: self.set_max_listpack_value.size(),
        }
    }

    /// Redis allows no more, whatever the setting says.
    pub(crate) fn intset_entries(&self) -> usize {
        const ENTRIES_MAX: usize = PACKED_BYTES_MAX / 8;
        self.set_max_intset_entries.size().min(ENTRIES_MAX)
    }

    pub(crate) fn zset(&self) -> Bounds {
        Bounds {
            entries: self.zset_max_listpack_entries.size(),
            value_bytes: self.zset_max_listpack_value.size(),
        }
    }

    /// Whether a list of so many items, of so many bytes as a listpack, is packed.
    pub(crate) fn list_allows(&self, items: usize, bytes: usize) -> bool {
        match self.list_max_listpack_size.get() {
            size @ ..0 => {
                // From -1 for 4 KiB to -5 for 64 KiB.
                let level = size.unsigned_abs().clamp(1, 5);
                bytes <= 2048 << level
            }
            count => bytes <= SAFE_BYTES_MAX && items <= usize::try_from(count.max(1)).unwrap_or(usize::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_packed_up_to_a_size_or_a_number_of_items() {
        let shapes = Shapes::default();
        for (setting, items, bytes, packed) in [
            (-1, 9_999, 4096, true),
            (-1, 1, 4097, false),
            (-2, 1, 8192, true),
            (-2, 1, 8193, false),
            (-5, 1, 65_536, true),
            (-9, 1, 65_537, false),
            (3, 3, 100, true),
            (3, 4, 100, false),
            (3, 1, 8193, false),
            (0, 1, 100, true),
        ] {
            shapes.list_max_listpack_size.set(setting);
            assert_eq!(shapes.list_allows(items, bytes), packed, "{setting} {items} {bytes}");
        }
    }
}
