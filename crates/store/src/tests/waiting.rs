//! Who waits for streams: whom a write has looked at, how often, and in which order.

use crate::collection::Refusal;
use crate::txn::Meter;
use crate::view::View;

use super::*;

/// What became of those who wait: how often each was looked at, and who was served, in order.
#[derive(Default)]
struct Seen {
    looks: Vec<usize>,
    served: Vec<usize>,
}

/// Waits for an entry of a stream behind some id.
struct Reader {
    number: usize,
    key: &'static [u8],
    behind: StreamId,
    seen: Arc<Mutex<Seen>>,
}

impl Attempt for Reader {
    fn registered(&mut self, _: Ticket) {
        self.seen.lock().looks.push(0);
    }

    fn run(&mut self, txn: &mut Txn<'_>) -> Result<Tried, Stop> {
        self.seen.lock().looks[self.number] += 1;
        let Some(mut stream) = found(txn.stream(self.key))? else { return Ok(Tried::Nothing) };
        Ok(if stream.has_behind(self.behind)? { Tried::Served } else { Tried::Nothing })
    }

    fn done(self: Box<Self>, _: Gate) {
        self.seen.lock().served.push(self.number);
    }

    fn left(self: Box<Self>, why: Leave) {
        panic!("{why:?}");
    }
}

fn found<T>(stream: Result<T, Refusal>) -> Result<T, Stop> {
    match stream {
        Ok(stream) => Ok(stream),
        Err(Refusal::Stop(stop)) => Err(stop),
        Err(Refusal::WrongType) => panic!("only streams are here"),
    }
}

/// Reads a stream, so that the section knows what is in it: otherwise the first who is looked at would leave for that.
fn read(fixture: &Fixture, key: &[u8]) {
    fixture.inline(|txn| {
        let has_any = found(txn.stream(key))?.unwrap().has_behind(id(0))?;
        assert!(has_any);
        Ok(())
    });
}

fn wait_for(fixture: &Fixture, seen: &Arc<Mutex<Seen>>, key: &'static [u8], behind: StreamId) {
    let number = seen.lock().looks.len();
    let reader = Reader { number, key, behind, seen: Arc::clone(seen) };
    let wants = Wants { database: 0, keys: vec![key.into()], kind: Kind::Stream, if_gone: false };
    fixture.group.sequencer.lock().waiters.add(Waiting { wants, attempt: Box::new(reader) });
}

fn id(number: u64) -> StreamId {
    StreamId { ms: number, seq: 0 }
}

fn add(txn: &mut Txn<'_>, key: &[u8], number: u64) -> Result<(), Stop> {
    let fields: [&[u8]; 2] = [b"f", b"v"];
    found(txn.stream_or_new(key))?.append(id(number), fields.into_iter())
}

#[test]
fn a_thousand_readers_of_a_stream_cost_one_look_each_and_are_served_in_order_of_arrival() {
    const READERS: usize = 1000;
    let fixture = Fixture::new();
    let seen = Arc::new(Mutex::new(Seen::default()));
    fixture.inline(|txn| add(txn, b"s", 1));
    read(&fixture, b"s");
    for number in 0..READERS {
        // Every other one waits for what comes later.
        wait_for(&fixture, &seen, b"s", id(if number % 2 == 0 { 1 } else { 2 }));
    }
    fixture.inline(|txn| add(txn, b"s", 2));
    {
        let seen = seen.lock();
        assert!(seen.looks.iter().all(|looks| *looks == 1), "{:?}", seen.looks);
        assert_eq!(seen.served, (0..READERS).step_by(2).collect::<Vec<_>>());
    }
    fixture.inline(|txn| add(txn, b"s", 3));
    let seen = seen.lock();
    assert!(seen.looks.iter().enumerate().all(|(number, looks)| *looks == 1 + number % 2));
    assert_eq!(seen.served[READERS / 2..], (1..READERS).step_by(2).collect::<Vec<_>>());
    assert_eq!(fixture.group.waiting(), 0);
}

#[test]
fn what_is_nothing_to_readers_has_nobody_looked_at() {
    let fixture = Fixture::new();
    let seen = Arc::new(Mutex::new(Seen::default()));
    fixture.inline(|txn| {
        add(txn, b"s", 1)?;
        add(txn, b"s", 2)
    });
    read(&fixture, b"s");
    wait_for(&fixture, &seen, b"s", id(2));
    fixture.inline(|txn| found(txn.stream(b"s"))?.unwrap().delete(id(1)).map(drop));
    fixture.inline(|txn| found(txn.stream(b"s"))?.unwrap().create_group(b"g", id(0), None).map(drop));
    assert_eq!(seen.lock().looks, [0]);
    fixture.inline(|txn| found(txn.stream(b"s"))?.unwrap().destroy_group(b"g").map(drop));
    assert_eq!(seen.lock().looks, [1], "who waits for the group has to know");
    fixture.inline(|txn| {
        txn.remove(b"s")?;
        add(txn, b"s", 1)
    });
    assert_eq!(seen.lock().looks, [2], "it is another stream");
    fixture.inline(|txn| {
        found(txn.stream(b"s"))?.unwrap().set_id(id(9), None, None);
        Ok(())
    });
    assert_eq!(seen.lock().looks, [2]);
    assert!(seen.lock().served.is_empty());
}

#[test]
fn who_waits_for_what_a_transaction_has_filled_first_is_served_first() {
    let fixture = Fixture::new();
    let seen = Arc::new(Mutex::new(Seen::default()));
    for key in [b"a", b"b", b"c"] {
        wait_for(&fixture, &seen, key, id(0));
    }
    fixture.inline(|txn| {
        assert!(found(txn.stream(b"a"))?.is_none());
        add(txn, b"b", 1)?;
        add(txn, b"c", 1)?;
        add(txn, b"a", 1)?;
        txn.remove(b"b")?;
        add(txn, b"b", 1)
    });
    assert_eq!(seen.lock().served, [2, 0, 1]);
}

#[test]
fn what_a_transaction_has_added_itself_is_not_taken_for_known_to_others() {
    let fixture = Fixture::new();
    fixture.inline(|txn| add(txn, b"s", 1));
    let mut scratch = Scratch::default();
    let mut section = fixture.group.sequencer.lock();
    let begin = fixture.group.begin_section(&section).unwrap();
    let view = View::Section(&mut section);
    let mut txn = Txn::new(&fixture.group, view, begin, Meter::small(&fixture.group.budget), 0, &mut scratch);
    add(&mut txn, b"s", 9).unwrap();
    let missing = found(txn.stream(b"s")).unwrap().unwrap().has_behind(id(0));
    assert!(matches!(missing, Err(Stop::Cold)), "{missing:?}");
    drop(txn);
    // Until it is looked up, somebody else may add one before 9.
    assert_eq!(scratch.hints.run.take().unwrap().last, id(1));
}
