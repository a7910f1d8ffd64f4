//! Every bound in one place, each with its reason. A queue, buffer or loop that is not bounded by
//! one of these, or by a setting, is a defect.

/// Databases of a single-group server, as Redis' default `databases`.
pub const DATABASES: usize = 16;

/// Longest bulk string: Redis' `proto-max-bulk-len`.
pub const BULK_BYTES_MAX: usize = 512 << 20;
/// Longest key: the store's own keys are at most 65,535 bytes, and one of them holds the key behind its
/// expiry, slot, space and hash.
pub const KEY_BYTES_MAX: usize = 65_000;
/// Most arguments of one command: Redis' multibulk limit.
pub const ARGS_MAX: usize = 1 << 20;
/// Longest inline command or protocol line: Redis' `PROTO_INLINE_MAX_SIZE`.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// What a transaction may touch on a network thread before it moves to the heavy pool (decision record 16).
pub const BUDGET_RECORDS: u32 = 128;
pub const BUDGET_BYTES: u32 = 64 << 10;
/// Steps of a script's interpreter: a step takes 5 to 30 ns, so that this is a few hundred microseconds at
/// most, which others wait for the section.
pub const BUDGET_STEPS: u32 = 10_000;
/// What a script's steps may take of the processor beyond that: what Lua does at once with long texts is one
/// step, whatever it takes.
pub const BUDGET_TIME: std::time::Duration = std::time::Duration::from_millis(1);

/// Threads of the heavy pool: more of them than CPUs help only as far as they wait for the disk, and each has an
/// interpreter and a snapshot.
pub const HEAVY_THREADS_MAX: usize = 1_024;
/// Of the CPUs this part, and one at least, is left alone by heavy work and what is done in the background (unless there is only one). Decision record 13
/// has what that gains.
pub const CPUS_KEPT_FREE_PART: usize = 8;
/// Commands of one class that may wait for them: each holds its arguments.
pub const HEAVY_QUEUE_MAX: usize = 1 << 16;
/// Of the pool's threads each class is left this part, and one at least where there are as many threads as classes: what
/// the other two may take together is enough to keep every CPU busy.
pub const HEAVY_RESERVED_PART: usize = 8;
/// What runs in the pool is stopped after this long, unless `heavy-timeout` says something else: it holds a thread and a
/// snapshot, and few clients wait so long.
pub const HEAVY_TIMEOUT_MS: u64 = 60_000;
/// A client that has closed its side may still want to hear the answer to what it has asked last, but not for
/// long: nobody can tell it from one that is gone.
pub const HEAVY_UNHEARD_MS_MAX: u64 = 5_000;

/// Longer strings are kept in chunks: what one record of a key costs at most to read or rewrite.
pub const STRING_PLAIN_BYTES_MAX: usize = 64 << 10;
/// What changing a byte of a long string rewrites.
pub const CHUNK_BYTES: usize = 16 << 10;
/// What is laid over a long string changes it in place up to this size, in one transaction; above it
/// the string is built anew aside.
pub const STRING_IN_PLACE_BYTES_MAX: usize = 16 << 20;

/// What a value may hold that is dumped or restored: it is in memory as a whole, and once more as its
/// payload. A quarter of what a bulk string may have, which a payload is.
pub const DUMP_BYTES_MAX: usize = BULK_BYTES_MAX / 4;

/// Deltas of one collection's counters that a reader adds up; where there are more, they are folded first.
pub const DELTAS_READ_MAX: usize = 256;
/// From so many on the deltas of a collection are folded into its base.
pub const DELTAS_KEPT: usize = 64;

const _: () = assert!(DELTAS_KEPT * 2 <= DELTAS_READ_MAX);

/// Largest log entry. Bounds what one append, one replication message and one apply step hold.
pub const ENTRY_BYTES_MAX: usize = 8 << 20;
/// A larger batch goes in parts.
pub const BATCH_BYTES_MAX: usize = 4 << 20;
/// A batch is closed when it is this big, whatever its age. A network thread encodes it at once: a few tenths of a
/// millisecond.
pub const BATCH_FULL_BYTES: usize = 1 << 20;
/// What one peer may have to be committed while another one writes as well: those come behind it in the log.
pub const UNCOMMITTED_BYTES_BESIDE: usize = 256 << 10;
/// For so long after its last write a peer writes as well.
pub const WRITES_BESIDE_MS: u64 = 100;

/// Write-back: the store follows the log by at most this much, or this long.
pub const APPLY_BYTES_MAX: usize = 64 << 20;
pub const APPLY_DELAY_MS_MAX: u64 = 1_000;
/// Sequenced writes that the store does not hold yet. Above it writers wait for the store.
pub const DIRTY_BYTES_MAX: usize = 128 << 20;

const _: () = assert!(BATCH_FULL_BYTES < BATCH_BYTES_MAX && BATCH_BYTES_MAX < ENTRY_BYTES_MAX);
const _: () = assert!(2 * APPLY_BYTES_MAX <= DIRTY_BYTES_MAX);
const _: () = assert!(2 * ENTRY_BYTES_MAX as u64 <= DIRTY.bytes_min);

/// Scripts that a node knows by their SHA-1, and the bytes of their code. Who needs one that was forgotten is
/// told so, and sends it again.
pub const SCRIPTS_MAX: usize = 10_000;
pub const SCRIPTS_BYTES_MAX: usize = 64 << 20;
/// The code of one script or library: what one log entry may well hold, and what takes tens of milliseconds to
/// compile.
pub const SCRIPT_CODE_BYTES_MAX: usize = 1 << 20;
/// By how much a script may make its interpreter's memory grow: on a network thread, and in the heavy pool. What
/// single steps of the interpreter do with strings is not counted, and takes as long as these are.
pub const SCRIPT_BYTES_INLINE: usize = 1 << 20;
pub const SCRIPT_BYTES_MAX: usize = 256 << 20;
/// What a script may log on a network thread; with more it goes to the heavy pool.
pub const SCRIPT_LOG_BYTES_INLINE: usize = 16 << 10;
/// A script that has outgrown the budget of a network thread goes to the heavy pool at once for so long.
pub const SCRIPT_LONG_MS: u64 = 10_000;
/// Functions that are remembered as long ones: their names are the clients' choice.
pub const FUNCTIONS_LONG_MAX: usize = 1_024;
/// Libraries of functions: each thread that calls functions has all of them loaded.
pub const LIBRARIES_MAX: usize = 512;
/// What the code of a library may take when it is loaded, which each thread does.
pub const LIBRARY_STEPS_MAX: u64 = 1_000_000;
pub const LIBRARY_BYTES_MAX: usize = 16 << 20;

const _: () = assert!(SCRIPT_CODE_BYTES_MAX < BATCH_BYTES_MAX && SCRIPT_CODE_BYTES_MAX < SCRIPTS_BYTES_MAX);

/// Keys that one client may watch at a time, and what their names take: each is noted beside those of others, and whoever
/// commits looks whether it was changed.
pub const WATCHED_KEYS_MAX: usize = 1_024;
pub const WATCHED_BYTES_MAX: usize = 1 << 20;
/// Keys that are looked up at a time when they begin to be watched: it is done in the section, like writing as many.
pub const WATCHED_IN_A_PART: usize = 64;

/// Arguments of a command on the session: a network thread runs it from the first to the last, whatever it does with each. A
/// hundredth of a millisecond each at most (COMMAND DOCS).
pub const SESSION_ARGS_MAX: usize = 1_024;

/// Keys and channels of a command, and their bytes, that a network thread matches with what its client may touch, and
/// hashes: two tenths of a millisecond. One key of any length that there may be is no more.
pub const KEYS_AT_ONCE_MAX: usize = 1_024;
pub const KEYS_BYTES_AT_ONCE_MAX: usize = 128 << 10;
const _: () = assert!(KEY_BYTES_MAX < KEYS_BYTES_AT_ONCE_MAX);
/// Commands of a transaction that it looks at one by one, before they run: which lane each needs, and whether the client may still
/// call it.
pub const QUEUED_AT_ONCE_MAX: usize = 1_024;
/// Commands of a transaction of which some are on the session: a network thread makes all of its replies, once the heavy pool has
/// run it: a millisecond.
pub const QUEUED_WITH_SESSION_MAX: usize = 2_048;

/// Keys that one client may wait for at a time: each is noted beside those of others in the section, and taken off
/// again there, by a network thread as often as not. That is two tenths of a millisecond each time.
pub const WAITED_KEYS_MAX: usize = 1_024;
/// Arguments of a command that may have to wait: they are kept until it is served, and the names of its keys once
/// more. On a network thread they are copied in the section, which takes some hundredths of a millisecond.
pub const WAITED_BYTES_MAX: usize = 256 << 10;

const _: () = assert!(2 * KEY_BYTES_MAX < WAITED_BYTES_MAX);

/// Users: the names of all are one record, and their rules are in memory.
pub const USERS_MAX: usize = 10_000;
/// What the rules of one user are at most: a record.
pub const USER_BYTES_MAX: usize = 64 << 10;
/// Longest name of a user.
pub const USER_NAME_BYTES_MAX: usize = 256;

/// Elements drawn by one command that may draw the same one again (HRANDFIELD and the like): its reply is
/// as long as the client says, and is in memory before it is sent.
pub const DRAWN_MAX: i64 = 1 << 22;

/// A line that MONITOR tells ends here: making it takes a network thread as long as reading the command did.
pub const MONITOR_LINE_BYTES_MAX: usize = 1 << 20;
/// Lines that a network thread has not handed to its monitoring clients yet: it does so at each turn.
pub const MONITOR_FEED_BYTES_MAX: usize = 8 << 20;
/// What a client that monitors may leave unread before it is cut off: a second or two of a busy server.
pub const MONITOR_OUTPUT_BYTES_MAX: usize = 32 << 20;

const _: () = assert!(MONITOR_LINE_BYTES_MAX * 5 < MONITOR_FEED_BYTES_MAX);
const _: () = assert!(MONITOR_FEED_BYTES_MAX < MONITOR_OUTPUT_BYTES_MAX);

/// The name of a channel, or a pattern: as long as keys, roughly.
pub const CHANNEL_BYTES_MAX: usize = 64 << 10;
/// What one client may hear, and what the names take: each is noted three times.
pub const SUBSCRIPTIONS_MAX: usize = 1 << 17;
pub const SUBSCRIPTIONS_BYTES_MAX: usize = 16 << 20;
/// Names that a client begins or ceases to hear before others have their turn: a microsecond each.
pub const NAMES_IN_A_PART: usize = 128;
/// Messages that were published and not handed out yet, with what they will take where they are heard: with
/// more, publishers wait. A quarter of a million short ones to be handed out, about half a second's work.
pub const MESSAGES_BYTES_KEPT: usize = 64 << 20;
/// With more, transactions and scripts that publish are told that the server is busy: they cannot wait in the
/// middle.
pub const MESSAGES_BYTES_MAX: usize = 128 << 20;
/// A longer message is made in the heavy pool: a network thread copies this much in a tenth of a millisecond.
pub const MESSAGE_BYTES_INLINE: usize = 1 << 20;
/// How often a network thread puts a message into a client's output before it looks after everybody else
/// again, and to how many of these clients it sends then: each costs a system call, and takes several messages
/// at once where more have come than are sent.
pub const HANDED_OUT_IN_A_TURN: usize = 2_048;
pub const HEARERS_SENT_TO_IN_A_TURN: usize = 64;
/// The same while there is more to be handed out.
pub const HEARERS_SENT_TO_MEANWHILE: usize = 8;
/// What any client may leave unread before it is cut off, whatever `client-output-buffer-limit` says: several
/// of the longest values.
pub const CLIENT_OUTPUT_BYTES_MAX: usize = 4 << 30;

/// A client that has sent so much of a command, or leaves so much unread, and then does not go on is cut off after
/// `stall-timeout`: what holds less costs little, and a socket's buffer takes more than that at once.
pub const STALLED_BYTES_MIN: usize = 64 << 10;
pub const STALL_TIMEOUT_MS: u64 = 60_000;

/// Keys that tracking clients have read: bytes of their names, and how often they were read. With more, some are
/// forgotten, and whoever has read them is told that they have changed. A quarter of a gigabyte each, roughly.
pub const TRACKED_BYTES_MAX: usize = 256 << 20;
pub const TRACKED_READS_MAX: usize = 16 << 20;
/// Invalidations on their way to one client. With more it is told that everything has changed.
pub const INVALIDATIONS_MAX: usize = 4_096;
pub const INVALIDATIONS_BYTES_MAX: usize = 1 << 20;
/// Prefixes of the keys that one client wants to know of: each is compared with each.
pub const PREFIXES_MAX: usize = 256;

const _: () = assert!(MESSAGES_BYTES_KEPT < MESSAGES_BYTES_MAX);
const _: () = assert!(CHANNEL_BYTES_MAX < SUBSCRIPTIONS_BYTES_MAX);
const _: () = assert!(BULK_BYTES_MAX < CLIENT_OUTPUT_BYTES_MAX);

/// Where a page of a long reply ends. A client that takes one has about two of them in memory.
pub const PAGE_BYTES: usize = 256 << 10;
/// Replies told page by page at a time: each keeps a snapshot, and about three pages.
pub const PAGED_REPLIES_MAX: usize = 256;
/// A client that does not take a page in this time is disconnected: its snapshot keeps old versions.
pub const PAGE_TIMEOUT_MS: u64 = 30_000;

/// Largest command with its framing, as Redis' `client-query-buffer-limit`: what one connection can
/// make the server hold before anything runs. Offsets into it are 32 bits wide.
pub const COMMAND_BYTES_MAX: usize = 1 << 30;

/// TLS handshakes at a time, all network threads together: each holds buffers and a certificate chain of
/// somebody who has not said yet who they are. The next connection waits in the accept queue.
pub const TLS_HANDSHAKES_MAX: usize = 512;
/// A client that has not come to the end of its handshake by then is disconnected: others wait for its place.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 10_000;
/// Turns that a network thread gives to handshakes before it looks after everybody else again: a signature
/// takes up to a few milliseconds.
pub const TLS_HANDSHAKE_TURNS_MAX: usize = 4;
/// Encrypted output of one connection that its socket has not taken: four records.
pub const TLS_OUTPUT_BYTES_MAX: usize = 64 << 10;
/// A file of certificates or with a key. A bundle of all public authorities has a quarter of a megabyte.
pub const TLS_FILE_BYTES_MAX: u64 = 4 << 20;

/// What a client says of itself: its name, and the name and the version of its library. They stand in each line of CLIENT LIST, and
/// are kept with each slow command.
pub const CLIENT_NAME_BYTES_MAX: usize = 1_024;

/// Connections from one address, unless `--max-connections-per-peer` says otherwise: applications behind one address
/// commonly need some hundreds.
pub const CONNECTIONS_PER_PEER: usize = 256;
/// Of all connections, those kept back for administrators, and the share that these are at most.
pub const ADMIN_CONNECTIONS: usize = 8;
pub const ADMIN_CONNECTIONS_SHARE: usize = 10;
/// Of those, half at most are for whoever comes from the machine itself and proves nothing, and so many are always left to
/// those who prove that they are administrators.
pub const ADMIN_CONNECTIONS_PROVEN_MIN: usize = 2;
/// Connections that one address may have beyond its share, for an administrator who looks what its others are. Where no
/// passwords tell administrators from applications, these would take whatever more there were.
pub const ADMIN_CONNECTIONS_ABOVE_SHARE: usize = 1;
/// Connections of the actor API that a node hosts, which take nobody's place. It needs one; another is opened while one
/// that was killed is not closed yet.
pub const INSIDE_CONNECTIONS_MAX: usize = 8;
/// Who has been given a place of administrators on trial has to log in within this time: others wait for it.
pub const ADMIN_LOGIN_MS_MAX: u64 = 3_000;
/// The same where only the share of its address is taken. Most that come then are its applications, which are to hear soon that
/// there is no place; what an administrator's program says first comes together with its connection.
pub const ADMIN_LOGIN_ABOVE_SHARE_MS_MAX: u64 = 1_000;
/// After a trial that came to nothing, the same address has no other one for so long: whoever comes again and again is
/// turned away in between, and known by it.
pub const TRIAL_PAUSE_MS: u64 = 200;
/// A peer that was turned away more often within a second is not told why any more: each time costs the acceptor
/// three more system calls.
pub const REJECTIONS_TOLD_IN_A_SECOND: u32 = 50;
/// A peer without connections that was turned away is remembered for so long, so that metrics that are read once a
/// minute show it; and so many of them at a time, each about 200 bytes.
pub const QUIET_PEER_KEPT_MS: u64 = 60_000;
pub const QUIET_PEERS_MAX: usize = 1_024;
/// Peers that metrics name; all others are one.
pub const PEERS_NAMED: usize = 10;
/// What the dashboard lists, so that its JSON stays small (about 100 KiB at the very most, for it is read once a second by
/// each who looks): commands, half of them those called most and half those that took most time; groups; slow commands.
pub const COMMANDS_SHOWN: usize = 64;
pub const GROUPS_SHOWN: usize = 64;
pub const SLOW_COMMANDS_SHOWN: usize = 10;
/// Of so many commands on data one is looked at, by chance: what keys it names, and how large they are. That takes a third of
/// a microsecond, and what it pushes out of the CPU's caches: a few nanoseconds for each command.
pub const SAMPLED_EVERY: u32 = 256;
/// Keys that are counted in each of a few summaries: which keys are used more than the others. How often one was used is known to a
/// part like this of all uses.
pub const HOT_KEYS_COUNTED: usize = 256;
/// What was counted counts half after so long, so that what was hot an hour ago is not any more.
pub const HOT_KEYS_HALF_LIFE_MS: u64 = 60_000;
/// What is kept and shown of a hot key's name; a key is told from others by all of it.
pub const KEY_BYTES_SHOWN: usize = 64;
/// Hot keys that are shown, and how many in a thousand of all uses are the least that one of them has.
pub const HOT_KEYS_SHOWN: usize = 10;
pub const HOT_KEY_PERMILLE_MIN: u64 = 5;
/// Large keys that are remembered, with all of their names, and those that the dashboard shows.
pub const BIG_KEYS_KEPT: usize = 32;
pub const BIG_KEYS_SHOWN: usize = 10;
/// In how many records a value lies at least that is called large: a string of 1 MiB, or so many elements.
pub const BIG_KEY_RECORDS_MIN: u64 = 64;
/// Keys of one command whose sizes are looked at.
pub const KEYS_SIZED: usize = 16;

const _: () = assert!(1_000 / (HOT_KEYS_COUNTED as u64) < HOT_KEY_PERMILLE_MIN);
const _: () = assert!(BIG_KEY_RECORDS_MIN * CHUNK_BYTES as u64 == 1 << 20);

/// Of the memory that there is (the cgroup's limit, or the machine's), what the process may have resident: the rest is for
/// sockets' buffers, which the kernel counts too, and for the page cache that the store reads through.
pub const MEMORY_HARD_PERCENT: u64 = 90;
/// Of that, from where on what would take more is refused: the rest is for what was begun by then, and for what a
/// fast network brings between two looks, a tenth of a second.
pub const MEMORY_SOFT_PERCENT: u64 = 80;
/// Of that, from where on caches give back what they can, so that nobody is refused for what they hold.
pub const MEMORY_TIGHT_PERCENT: u64 = 90;
/// How far below a threshold memory has to be before it is left: not to and fro at the edge.
pub const MEMORY_SLACK_PERCENT: u64 = 5;
/// How often it is looked what is resident: seldom while there is enough, as every look costs some 50 microseconds;
/// otherwise, from so much of the soft threshold on, so often that a fast network brings no more than a few percent of it in
/// between. What is freed is given back as often: values of megabytes that are written and forgotten leave more than a
/// hundred megabytes in a tenth of a second.
pub const MEMORY_LOOK_MS: u64 = 100;
pub const MEMORY_NEAR_PERCENT: u64 = 60;
pub const MEMORY_LOOK_NEAR_MS: u64 = 20;
/// While memory is short: what has not become more by so much of the soft threshold in so many looks is still. Then what is
/// refused otherwise is let in as long as it does not become more than that, and nothing is so far above the threshold.
pub const MEMORY_STILL_PERCENT: u64 = 1;
pub const MEMORY_STILL_LOOKS: u32 = 50;
pub const MEMORY_REUSED_PERCENT: u64 = 5;

/// What a part of the process may take that is bounded by itself: so much of the hard threshold in percent, between two
/// bounds.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub percent: u64,
    pub bytes_min: u64,
    pub bytes_max: u64,
}

/// Rows and the store's blocks: more of them is for whoever runs the node to say.
pub const CACHE: Bound = Bound { percent: 20, bytes_min: 16 << 20, bytes_max: 320 << 20 };
/// Of all groups together, as the next one. Two memtables: smaller ones make tables of which there are too many.
pub const WRITE_BUFFER: Bound = Bound { percent: 8, bytes_min: 16 << 20, bytes_max: 128 << 20 };
pub const DIRTY: Bound = Bound { percent: 8, bytes_min: 16 << 20, bytes_max: DIRTY_BYTES_MAX as u64 };
pub const LOG_CACHE: Bound = Bound { percent: 2, bytes_min: 4 << 20, bytes_max: 32 << 20 };
/// What was written while somebody reads from a snapshot: some seconds of writes for whoever takes a long reply slowly.
pub const SNAPSHOTS: Bound = Bound { percent: 12, bytes_min: 32 << 20, bytes_max: 512 << 20 };
/// Of the scripts on all threads of the heavy pool together, unless that left one of them with less than it needs to do anything:
/// with many threads it is what is left of all memory that bounds what they have together.
pub const SCRIPTS: Bound = Bound { percent: 20, bytes_min: 16 << 20, bytes_max: SCRIPT_BYTES_MAX as u64 };
/// While memory is short, a client that holds less in buffers is not worth disconnecting: a page of a long reply.
pub const CLIENT_EVICTED_BYTES_MIN: u64 = PAGE_BYTES as u64;
/// After clients were disconnected, so long until the next ones are: what they held is given back by then.
pub const EVICTION_PAUSE_MS: u64 = 500;
/// While memory is short, no more is read of a command of which so much has come.
pub const INPUT_BYTES_WHILE_SHORT: usize = PAGE_BYTES;
