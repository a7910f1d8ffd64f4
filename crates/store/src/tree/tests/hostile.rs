//! Records that are not what they were: every operation ends, with an error or without, and never panics.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const SHAPE: Shape = Shape { leaf_entries_max: 4, leaf_bytes_max: 200, fan_out: 4, inner_bytes_max: 200 };

#[derive(Clone, Debug)]
enum Damage {
    Remove,
    Replace(Vec<u8>),
    Change(Index, u8),
    Cut(Index),
    Swap(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        1 => Just(Damage::Remove),
        2 => any::<Vec<u8>>().prop_map(Damage::Replace),
        8 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        2 => any::<Index>().prop_map(Damage::Cut),
        2 => any::<Index>().prop_map(Damage::Swap),
    ]
}

/// Records that may be removed twice.
struct Damaged(Map);

impl Nodes for Damaged {
    type Error = Malformed;

    fn read(&mut self, id: NodeId) -> Result<Option<Value>, Malformed> {
        self.0.read(id)
    }

    fn write(&mut self, id: NodeId, value: Value) {
        self.0.write(id, value);
    }

    fn remove(&mut self, id: NodeId) {
        self.0.records.remove(&id);
    }

    fn malformed(&self, id: NodeId, why: DecodeError) -> Malformed {
        self.0.malformed(id, why)
    }
}

fn apply(map: &mut Map, at: Index, damage: Damage) {
    let mut ids: Vec<_> = map.records.keys().copied().collect();
    ids.sort_by_key(|id| (id.number, id.part as u8));
    let id = *at.get(&ids);
    let mut bytes = map.records[&id].to_vec();
    match damage {
        Damage::Remove => {
            map.records.remove(&id);
            return;
        }
        Damage::Replace(with) => bytes = with,
        Damage::Change(at, byte) => {
            let at = at.index(bytes.len().max(1));
            bytes.get_mut(at).into_iter().for_each(|place| *place = byte);
        }
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
        Damage::Swap(with) => bytes = map.records[with.get(&ids)].to_vec(),
    }
    map.records.insert(id, bytes.into());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn damaged_records_are_refused_or_survived(
        damages in prop::collection::vec((any::<Index>(), damage()), 1..3),
        number in 0..200_u64,
    ) {
        let mut map = Map::built(SHAPE, (0..200).map(|i| key(i * 2)));
        for (at, damage) in damages {
            apply(&mut map, at, damage);
        }
        // Each on a copy: after an error nothing is to be done.
        let run = |op: &dyn Fn(&mut Tree<'_, Damaged>) -> Result<(), Malformed>| {
            let mut copy = Damaged(map.clone());
            let _ = op(&mut Tree::with_shape(&mut copy, SHAPE));
        };
        run(&|tree| tree.insert(&key(number)).map(drop));
        run(&|tree| tree.insert(&vec![0; 300]).map(drop));
        run(&|tree| (0..400).try_for_each(|i| tree.remove(&key(i)).map(drop)));
        run(&|tree| (0..400).rev().try_for_each(|i| tree.remove(&key(i)).map(drop)));
        run(&|tree| tree.remove_range(number / 2..number, |_| {}).map(drop));
        run(&|tree| tree.rank(&key(number)).map(drop));
        run(&|tree| tree.contains(&key(number)).map(drop));
        run(&|tree| tree.at(number).map(drop));
        run(&|tree| tree.first().map(drop));
        run(&|tree| tree.last().map(drop));
        run(&|tree| tree.len().map(drop));
        run(&|tree| tree.walk(0, Direction::Up, |_| ControlFlow::Continue(())));
        run(&|tree| tree.walk(number, Direction::Down, |_| ControlFlow::Continue(())));
    }
}

#[test]
fn a_missing_child_is_an_error() {
    let mut map = Map::built(SHAPE, (0..100).map(key));
    map.records.remove(&NodeId::node(1));
    assert!(map.tree(SHAPE).contains(&key(0)).is_err());
    assert!(map.tree(SHAPE).insert(&[]).is_err());
    assert!(map.tree(SHAPE).first().is_err());
    assert!(map.tree(SHAPE).contains(&key(99)).is_ok());
}

#[test]
fn numbers_that_are_used_up_are_an_error() {
    let mut map = Map::built(SHAPE, (0..4).map(key));
    let full = [NUMBER_END - 2, NUMBER_END - 1];
    map.tree(SHAPE).insert(&key(4)).unwrap();
    for next in full {
        let counts = map.records[&NodeId::counts(ROOT)].clone();
        let mut out = Vec::new();
        counts::put_shifted(&mut out, &counts, Some(next), (ROOT, 0), 0).unwrap();
        map.records.insert(NodeId::counts(ROOT), out.into());
        let refused = (5..100).any(|i| map.tree(SHAPE).insert(&key(i)).is_err());
        assert!(refused);
    }
}
