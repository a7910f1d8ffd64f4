//! Geohashes: a longitude and a latitude as one number of 52 bits. The world is halved again and again
//! in both directions, and each half is a bit, longitude and latitude by turns: a square of the world is
//! a range of numbers. As in Redis, down to the last digit.

/// Longitudes end here.
const LONGITUDE_MAX: f64 = 180.0;
/// Latitudes end where a map of the world in Mercator's projection is a square.
const LATITUDE_MAX: f64 = 85.05112878;
/// A common geohash ends at the poles.
const POLE: f64 = 90.0;
/// Bits that each coordinate has.
pub(super) const STEPS_MAX: u32 = 26;

/// A place on the earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

/// From where to where, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) min: f64,
    pub(super) max: f64,
}

/// What lies between two meridians and two parallels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub(super) longitude: Span,
    pub(super) latitude: Span,
}

/// A square of the world that was halved so many times in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    bits: u64,
    steps: u32,
}

impl Place {
    /// `None` outside of the world.
    pub(super) fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let within = |value: f64, max: f64| (-max..=max).contains(&value);
        let exists = within(longitude, LONGITUDE_MAX) && within(latitude, LATITUDE_MAX);
        exists.then_some(Self { longitude, latitude })
    }

    /// The place that a score stands for. Any score does: a geo index is a sorted set like any other.
    pub(super) fn of_score(score: f64) -> Self {
        let area = Cell { bits: whole(score), steps: STEPS_MAX }.area();
        let middle = |span: Span, max: f64| f64::midpoint(span.min, span.max).clamp(-max, max);
        Self {
            longitude: middle(area.longitude, LONGITUDE_MAX),
            latitude: middle(area.latitude, LATITUDE_MAX),
        }
    }

    pub(super) fn score(self) -> f64 {
        Cell::around(self, STEPS_MAX).bits as f64
    }

    /// The text by which others than Redis know the place: eleven letters, of which the last one is
    /// always the first of the alphabet.
    pub(super) fn text(self) -> String {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        const LETTER_BITS: u32 = 5;
        let bits = Cell::within(self, STEPS_MAX, POLE).bits;
        let letter = |nth: u32| {
            let shift = (2 * STEPS_MAX).checked_sub((nth + 1) * LETTER_BITS);
            let index = shift.map_or(0, |shift| (bits >> shift) % LETTERS.len() as u64);
            LETTERS.get(index as usize).map_or('0', |letter| char::from(*letter))
        };
        (0..11).map(letter).collect()
    }
}

/// A score's whole part as a C program on x86 has it: Redis takes what does not fit as it comes.
fn whole(score: f64) -> u64 {
    const TOO_MUCH: f64 = (1u128 << 64) as f64;
    match score {
        0.0..TOO_MUCH => score as u64,
        // Two's complement. What is less than the least becomes that.
        ..0.0 => score as i64 as u64,
        _ => 0,
    }
}

impl Cell {
    /// The cell that a place lies in.
    pub(super) fn around(place: Place, steps: u32) -> Self {
        Self::within(place, steps, LATITUDE_MAX)
    }

    fn within(place: Place, steps: u32, latitude_max: f64) -> Self {
        let cells = (1u64 << steps) as f64;
        let index = |value: f64, max: f64| ((value + max) / (max + max) * cells) as u32;
        Self::at(index(place.longitude, LONGITUDE_MAX), index(place.latitude, latitude_max), steps)
    }

    fn at(longitude: u32, latitude: u32, steps: u32) -> Self {
        Self { bits: spread(longitude) << 1 | spread(latitude), steps }
    }

    /// The scores of what lies in it: from the first to before the second.
    pub(super) fn scores(self) -> (f64, f64) {
        let shift = 2 * STEPS_MAX.saturating_sub(self.steps);
        ((self.bits << shift) as f64, ((self.bits + 1) << shift) as f64)
    }

    pub(super) fn area(self) -> Area {
        let span = |index: u32, max: f64| {
            let cells = (1u64 << self.steps) as f64;
            let edge = |index: u32| -max + f64::from(index) / cells * (max + max);
            // Of scores that are no geohashes, the index may be the last number there is.
            Span { min: edge(index), max: edge(index.wrapping_add(1)) }
        };
        Area {
            longitude: span(gather(self.bits >> 1), LONGITUDE_MAX),
            latitude: span(gather(self.bits), LATITUDE_MAX),
        }
    }

    /// The cell beside it, so many to the east and to the north; at the edge of the world it is the one
    /// on the other side.
    pub(super) fn beside(self, east: i32, north: i32) -> Self {
        let last = ((1u64 << self.steps) - 1) as u32;
        let moved = |index: u32, by: i32| if by == 0 { index } else { index.wrapping_add_signed(by) & last };
        Self::at(moved(gather(self.bits >> 1), east), moved(gather(self.bits), north), self.steps)
    }
}

/// Masks of the bits at each second place, of each second pair of places, and so on.
const MASKS: [u64; 5] = [
    0x5555_5555_5555_5555,
    0x3333_3333_3333_3333,
    0x0f0f_0f0f_0f0f_0f0f,
    0x00ff_00ff_00ff_00ff,
    0x0000_ffff_0000_ffff,
];

/// Puts bits at each second place.
fn spread(value: u32) -> u64 {
    let widen = |bits: u64, (shift, mask): (usize, &u64)| (bits | bits << (1 << shift)) & mask;
    MASKS.iter().enumerate().rev().fold(u64::from(value), widen)
}

/// Takes the bits from each second place.
fn gather(bits: u64) -> u32 {
    let first = bits & MASKS.first().copied().unwrap_or_default();
    let narrow = |bits: u64, (shift, mask): (usize, &u64)| (bits | bits >> (1 << shift)) & mask;
    let halves = MASKS.iter().skip(1).enumerate().fold(first, narrow);
    (halves | halves >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_spread_and_gathered() {
        for value in [0, 1, 2, 3, 0x8000_0000, 0x1234_5678, u32::MAX] {
            assert_eq!(gather(spread(value)), value);
            assert_eq!(gather(spread(value) << 1), 0);
        }
        assert_eq!(spread(0b1011), 0b100_0101);
    }

    #[test]
    fn a_score_is_a_place_to_within_a_metre() {
        let palermo = Place::new(13.361389, 38.115556).unwrap();
        assert_eq!(palermo.score(), 3_479_099_956_230_698.0);
        let found = Place::of_score(palermo.score());
        assert_eq!(found, Place { longitude: 13.361389338970184, latitude: 38.1155563954963 });
        assert_eq!(found.text(), "sqc8b49rny0");
    }

    #[test]
    fn any_score_is_a_place() {
        let least = Place { longitude: -179.999_997_317_790_99, latitude: -85.051_127_512_639_43 };
        for score in [0.0, 0.5, 1e300, f64::INFINITY] {
            assert_eq!(Place::of_score(score), least);
        }
        let most = Place { longitude: LONGITUDE_MAX, latitude: LATITUDE_MAX };
        assert_eq!(Place::of_score(-5.0), most);
    }

    #[test]
    fn cells_have_neighbours_all_around_the_world() {
        let cell = Cell::at(0, 7, 3);
        assert_eq!(cell.beside(-1, 0), Cell::at(7, 7, 3));
        assert_eq!(cell.beside(1, 1), Cell::at(1, 0, 3));
        assert_eq!(cell.beside(0, -1), Cell::at(0, 6, 3));
    }

    #[test]
    fn a_cell_is_a_range_of_scores() {
        let cell = Cell::at(1, 2, 2);
        assert_eq!(cell.scores(), ((6u64 << 48) as f64, (7u64 << 48) as f64));
        let area = cell.area();
        assert_eq!(area.longitude, Span { min: -90.0, max: 0.0 });
        assert_eq!(area.latitude.min, 0.0);
    }
}
