//! The bounds of a listing, each with its reason.

use crate::names;
use crate::record::RECORD_BYTES_MAX;
use std::time::Duration;

pub(super) const PAGE_SIZE_DEFAULT: u32 = 100;
pub(super) const PAGE_SIZE_MAX: u32 = 1000;

/// Of a response, as it is sent: clients of gRPC take 4 MiB if nobody has told them otherwise.
pub(super) const RESPONSE_BYTES_MAX: usize = 3 << 20;

// The largest record fits a page of its own, or the listing would stand still: the text is the longer form,
// though not by much.
const _: () = assert!(2 * RECORD_BYTES_MAX + TOKEN_CHARS_MAX < RESPONSE_BYTES_MAX);

/// A call stops scanning after this time, with what it has. Half the time that its caller leaves it, if
/// that is less: the rest is for what is still to be asked, and for the way back.
pub(super) const CALL_TIME_MAX: Duration = Duration::from_millis(250);

/// How many keys one step of a scan looks at. A server does nothing else meanwhile: some hundred
/// microseconds.
pub(super) const COUNT_MAX: u32 = 1000;

/// A step that was to look at no more than this is not made again with less when it gives more than the
/// page has room for: the rest of it comes with the next page.
pub(super) const COUNT_SMALL: u32 = 16;

/// Steps of scans that one call makes.
pub(super) const SCANS_MAX: u32 = 256;

/// Values that are fetched at once: a page of the usual size.
pub(super) const BATCH_KEYS_MAX: usize = 128;

/// What is fetched of each of them at first: more than all but few records have. So a batch takes no more than a
/// page, whatever the store holds.
pub(super) const SMALL_BYTES_MAX: usize = RESPONSE_BYTES_MAX / BATCH_KEYS_MAX - 1;
const _: () = assert!(BATCH_KEYS_MAX * (SMALL_BYTES_MAX + 1) <= RESPONSE_BYTES_MAX);

/// Values that are fetched at once where a larger one was met: they take no more than a page either.
pub(super) const LARGE_KEYS_MAX: usize = RESPONSE_BYTES_MAX / (RECORD_BYTES_MAX + 1);
const _: () = assert!(LARGE_KEYS_MAX > 0 && LARGE_KEYS_MAX < BATCH_KEYS_MAX);

/// So many times in a call the cluster may turn out to be another one than it was; then the caller has the
/// token, and goes on with another call.
pub(super) const DISTURBANCES_MAX: u32 = 4;

/// The wait after that: the nodes need some time to tell each other.
pub(super) const PAUSE: Duration = Duration::from_millis(25);

/// To how many nodes the slots of one shard are on their way, as far as a token remembers. Those of
/// others are walked again later.
pub(super) const TARGETS_MAX: usize = 2;
/// Groups of slots that were walked where they leave, and not yet where they arrive.
pub(super) const HALVES_MAX: usize = 2;

/// Of a step that is taken in parts: of so many keys that were taken a token says which they are. More than
/// small steps have.
pub(super) const TAKEN_MAX: usize = 32;
const _: () = assert!(TAKEN_MAX >= 2 * COUNT_SMALL as usize);

/// Names of nodes and processes in a token: 40 characters in all servers that we know.
pub(super) const ID_BYTES_MAX: usize = 128;

/// A set of slots in a token: a bitmap, and what it is.
const SLOT_SET_BYTES_MAX: usize = 2 * 1024 + 1;

/// Of a token before it is sealed, at most: two sets of slots, those on the move, names, numbers.
pub(super) const PAYLOAD_BYTES_MAX: usize = SLOT_SET_BYTES_MAX * (2 + TARGETS_MAX + HALVES_MAX)
    + ID_BYTES_MAX * (2 + TARGETS_MAX + 2 * HALVES_MAX)
    + names::KEY_BYTES_MAX
    + TAKEN_MAX * 8
    + 512;

/// Of a token: what is longer is not looked at. A usual one has some 300.
pub(super) const TOKEN_CHARS_MAX: usize = 24 << 10;
const _: () = assert!((PAYLOAD_BYTES_MAX + 64) * 4 / 3 < TOKEN_CHARS_MAX);

/// Of records that are not understood, one is shown in the log in this time.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(1);
