//! What a search covers: a circle or a box around a place, the cells that it touches, and how far a
//! place is from its middle. As in Redis, with its radius of the earth.

use std::f64::consts::PI;

use super::hash::{Area, Cell, Place, STEPS_MAX, Span};

const EARTH_RADIUS_METRES: f64 = 6_372_797.560856;
/// Half the width of a map of the world in Mercator's projection, in metres.
const MERCATOR_MAX: f64 = 20_037_726.37;
const RADIANS: f64 = PI / 180.0;

/// A shape, in the unit of the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// A shape around a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cover {
    pub(super) center: Place,
    pub(super) shape: Shape,
    /// Metres.
    pub(super) unit: f64,
}

/// How many metres are between two places, on a sphere.
pub(super) fn distance(from: Place, to: Place) -> f64 {
    let across = ((to.longitude * RADIANS - from.longitude * RADIANS) / 2.0).sin();
    if across == 0.0 {
        return distance_of_latitudes(from, to);
    }
    let (from_latitude, to_latitude) = (from.latitude * RADIANS, to.latitude * RADIANS);
    let along = ((to_latitude - from_latitude) / 2.0).sin();
    let haversine = along * along + from_latitude.cos() * to_latitude.cos() * across * across;
    2.0 * EARTH_RADIUS_METRES * haversine.sqrt().asin()
}

fn distance_of_latitudes(from: Place, to: Place) -> f64 {
    EARTH_RADIUS_METRES * (to.latitude * RADIANS - from.latitude * RADIANS).abs()
}

impl Cover {
    /// How far a place is from the middle, if it is covered.
    pub(super) fn distance_within(&self, place: Place) -> Option<f64> {
        match self.shape {
            Shape::Circle { radius } => self.unless(place, |distance| distance > radius * self.unit),
            Shape::Box { width, height } => {
                let beside = Place { longitude: self.center.longitude, latitude: place.latitude };
                let is_outside = distance_of_latitudes(place, self.center) > height * self.unit / 2.0
                    || distance(place, beside) > width * self.unit / 2.0;
                self.unless(place, |_| is_outside)
            }
        }
    }

    /// How far a place is, unless it is outside. The other side of the earth may be at a distance that is
    /// no number, and is not outside.
    fn unless(&self, place: Place, is_outside: impl FnOnce(f64) -> bool) -> Option<f64> {
        let distance = distance(self.center, place);
        if is_outside(distance) { None } else { Some(distance) }
    }

    /// Cells that cover all of it: the one in the middle and those around it that it touches, in Redis'
    /// order, none of them twice.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let bounds = self.bounds();
        let steps = self.steps();
        let mut middle = Cell::around(self.center, steps);
        if steps > 1 && !reaches(middle, &bounds) {
            middle = Cell::around(self.center, steps - 1);
            return touched(middle, steps - 1, &bounds);
        }
        touched(middle, steps, &bounds)
    }

    /// How often the world is halved for cells of about the size of the shape.
    fn steps(&self) -> u32 {
        let mut metres = self.unit
            * match self.shape {
                Shape::Circle { radius } => radius,
                Shape::Box { width, height } => {
                    let (width, height) = (width / 2.0, height / 2.0);
                    (width * width + height * height).sqrt()
                }
            };
        if metres == 0.0 {
            return STEPS_MAX;
        }
        let mut steps = 1u32;
        while metres < MERCATOR_MAX {
            metres *= 2.0;
            steps += 1;
        }
        // Cells are narrower towards the poles. The others are two, so that a shape near the edge of the
        // middle one seldom is wider than its neighbour.
        let wider = match self.center.latitude.abs() {
            ..=66.0 => 2,
            ..=80.0 => 3,
            _ => 4,
        };
        steps.saturating_sub(wider).clamp(1, STEPS_MAX)
    }

    /// The meridians and parallels that it lies between.
    fn bounds(&self) -> Area {
        let (width, height) = match self.shape {
            Shape::Circle { radius } => (self.unit * radius, self.unit * radius),
            Shape::Box { width, height } => (self.unit * (width / 2.0), self.unit * (height / 2.0)),
        };
        let Place { longitude, latitude } = self.center;
        let north = height / EARTH_RADIUS_METRES / RADIANS;
        // Meridians are nearest to each other at the edge that is next to a pole.
        let narrow = if latitude < 0.0 { latitude - north } else { latitude + north };
        let east = width / EARTH_RADIUS_METRES / (narrow * RADIANS).cos() / RADIANS;
        Area {
            longitude: Span { min: longitude - east, max: longitude + east },
            latitude: Span { min: latitude - north, max: latitude + north },
        }
    }
}

/// Whether a cell and those around it reach over all that lies within the bounds.
fn reaches(middle: Cell, bounds: &Area) -> bool {
    let (north, south) = (middle.beside(0, 1).area().latitude, middle.beside(0, -1).area().latitude);
    let (east, west) = (middle.beside(1, 0).area().longitude, middle.beside(-1, 0).area().longitude);
    // Bounds may be no numbers at all, near a pole: those are reached.
    !(north.max < bounds.latitude.max
        || south.min > bounds.latitude.min
        || east.max < bounds.longitude.max
        || west.min > bounds.longitude.min)
}

fn touched(middle: Cell, steps: u32, bounds: &Area) -> Vec<Cell> {
    const AROUND: [(i32, i32); 9] =
        [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
    let area = middle.area();
    // What the middle one reaches over by itself needs no neighbour. Large cells are all there is.
    let is_needed = |(east, north): (i32, i32)| {
        steps < 2
            || !((north < 0 && area.latitude.min < bounds.latitude.min)
                || (north > 0 && area.latitude.max > bounds.latitude.max)
                || (east < 0 && area.longitude.min < bounds.longitude.min)
                || (east > 0 && area.longitude.max > bounds.longitude.max))
    };
    let mut cells = Vec::with_capacity(AROUND.len());
    for (east, north) in AROUND.into_iter().filter(|side| is_needed(*side)) {
        let cell = middle.beside(east, north);
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(longitude: f64, latitude: f64) -> Place {
        Place::new(longitude, latitude).unwrap()
    }

    #[test]
    fn distances_are_those_on_a_sphere() {
        let there = distance(place(13.361389, 38.115556), place(15.087269, 37.502669));
        assert!((there - 166_274.1).abs() < 1.0, "{there}");
        assert_eq!(distance(place(0.0, 1.0), place(0.0, 1.0)), 0.0);
        let half_way_round = distance(place(-180.0, 0.0), place(0.0, 0.0));
        assert!((half_way_round - PI * EARTH_RADIUS_METRES).abs() < 1.0);
    }

    /// Whatever is covered lies in one of the cells: tried with places in and around shapes all over the
    /// world, but for the edge of the world, which is one in Redis too.
    #[test]
    fn cells_cover_the_shape() {
        let mut tried = 0;
        for (longitude, latitude) in [(0.0, 0.0), (13.3, 38.1), (-70.0, -33.4), (100.0, 60.0), (20.0, -70.0)]
        {
            for metres in [1.0, 30.0, 1_000.0, 50_000.0, 800_000.0] {
                let center = place(longitude, latitude);
                for shape in [Shape::Circle { radius: metres }, Shape::Box { width: metres, height: metres }]
                {
                    let cover = Cover { center, shape, unit: 1.0 };
                    let cells = cover.cells();
                    let bounds = cover.bounds();
                    for at in 0..400 {
                        let part =
                            |nth: i32, span: Span| span.min + (span.max - span.min) * f64::from(nth) / 19.0;
                        let (x, y) = (part(at % 20, bounds.longitude), part(at / 20, bounds.latitude));
                        let Some(found) = Place::new(x, y) else { continue };
                        if cover.distance_within(found).is_none() {
                            continue;
                        }
                        let score = found.score();
                        let is_in = |cell: &Cell| (cell.scores().0..cell.scores().1).contains(&score);
                        assert!(cells.iter().any(is_in), "{found:?} of {cover:?}");
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 5_000, "{tried}");
    }

    #[test]
    fn no_cell_comes_twice() {
        for radius in [0.0, 1.0, 1e6, 1e7, 1e9, f64::INFINITY] {
            for latitude in [-85.0, 0.0, 85.0] {
                let center = place(180.0, latitude);
                let cells = Cover { center, shape: Shape::Circle { radius }, unit: 1.0 }.cells();
                let repeated = cells.iter().enumerate().any(|(at, cell)| cells[..at].contains(cell));
                assert!(!cells.is_empty() && !repeated, "{radius} {latitude}");
            }
        }
    }
}
