//! Places on the earth: sorted sets whose scores are geohashes, so that what is near each other lies in
//! a few ranges of scores.

pub(super) mod hash;
pub(super) mod places;
pub(super) mod query;
pub(super) mod search;
pub(super) mod shape;

use resp::Reply;
use store::Txn;

use super::row as row_of;
use crate::args::Args;
use crate::error::{Error, Result};
use crate::row::{Command, Flags, Keys, Run};
use hash::Place;

const fn row(name: &'static str, arity: i32, keys: Keys, flags: &[Flags], run: Run) -> Command {
    row_of("geo", name, arity, keys, flags, run)
}

/// Longitude and latitude, from two arguments.
fn place(args: &Args<'_>, at: usize) -> Result<Place> {
    let (longitude, latitude) = (args.float(at)?, args.float(at + 1)?);
    Place::new(longitude, latitude).ok_or_else(|| {
        Error::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
    })
}

/// How many metres a unit has.
fn unit(args: &Args<'_>, at: usize) -> Result<f64> {
    const UNITS: &[(&str, f64)] = &[("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let found = UNITS.iter().find(|(name, _)| args.is(at, name));
    found
        .map(|(_, metres)| *metres)
        .ok_or(Error::line("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// A distance as it is told: with four digits behind its point.
fn distance(distance: f64) -> Reply {
    let parts = (distance * 10_000.0).round_ties_even() as u64;
    Reply::bulk(format!("{}.{:04}", parts / 10_000, parts % 10_000))
}

fn coordinates(place: Place) -> Reply {
    Reply::Array(vec![Reply::Decimal(place.longitude), Reply::Decimal(place.latitude)])
}
