//! The allocator of every process here, and who gives memory back to the kernel: a thread that is asked to, and no other.
//!
//! mimalloc keeps what was freed for a second, and then has its pages given back by whichever thread frees something next. After half a
//! gigabyte that takes 46 ms, and the thread that it fell to was a network thread (decision record 14). So the term is set
//! beyond everything ([`keep_what_is_freed`]), and the thread that watches memory calls [`give_back`].
//!
//! Invariant: the only module of the workspace with `unsafe` in it, which calls two functions of the allocator's own
//! interface. It knows nothing but them.

use std::ffi::{c_int, c_long};
use std::sync::Once;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3, which the bindings do not name.
const PURGE_DELAY: c_int = 15;
/// A month: never, but for who asks. A negative term would be for ever also then.
const TERM_MS: c_long = 30 * 24 * 3600 * 1000;

/// What is freed from now on stays with the process until [`give_back`]. To be called by who calls that, regularly.
#[allow(unsafe_code)]
pub fn keep_what_is_freed() {
    static ONCE: Once = Once::new();
    // SAFETY: the function stores one word in a static table, and has no other precondition than an option that exists. The others
    // read that word whenever they free a page: whether they see it sooner or later makes no difference to them.
    ONCE.call_once(|| unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, TERM_MS) });
}

/// Gives everything back that was freed, whoever had it: as long as that takes.
#[allow(unsafe_code)]
pub fn give_back() {
    // SAFETY: it may be called by any thread at any time. It collects that thread's own heap, and purges what is
    // free for all of them under the allocator's own locks.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE_BYTES: usize = 256 << 20;

    fn resident_bytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
    }

    fn large() -> Vec<u8> {
        std::hint::black_box(vec![1; LARGE_BYTES])
    }

    /// What became resident since then, more or less: the kernel counts some pages late.
    fn grown_bytes(before: usize) -> usize {
        resident_bytes().saturating_sub(before)
    }

    #[test]
    fn what_is_freed_is_kept_until_it_is_asked_for_and_given_back_then() {
        keep_what_is_freed();
        let before = resident_bytes();
        drop(large());
        // Whoever frees something now has nothing given back.
        (0..1000).for_each(|_| drop(std::hint::black_box(vec![1_u8; 64 << 10])));
        assert!(grown_bytes(before) > LARGE_BYTES / 4 * 3);
        give_back();
        assert!(grown_bytes(before) < LARGE_BYTES / 4);
    }

    #[test]
    fn what_others_have_freed_is_given_back_too() {
        keep_what_is_freed();
        let before = resident_bytes();
        std::thread::spawn(|| drop(large())).join().expect("joined");
        give_back();
        assert!(grown_bytes(before) < LARGE_BYTES / 4);
    }
}
