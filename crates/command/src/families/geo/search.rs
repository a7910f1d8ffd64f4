//! Places within a circle or a box.

use super::query::{Form, Query};
use super::*;
use crate::arg::{self, Arg, KEY};
use crate::families::key;
use crate::row::access::{ACCESS, OW, RO, UPDATE};
use crate::row::flags::{DENYOOM, READONLY, WRITE};

const CIRCLE_COST: &str = "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index";
const SHAPE_COST: &str = "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape";

const UNIT: Arg = arg::one_of("unit", &[arg::word("M"), arg::word("KM"), arg::word("FT"), arg::word("MI")]);
const ORDER: Arg = arg::one_of("order", &[arg::word("ASC"), arg::word("DESC")]).optional();
const WITH_COORDINATES: Arg = arg::word("WITHCOORD").optional();
const WITH_DISTANCE: Arg = arg::word("WITHDIST").optional();
const WITH_HASH: Arg = arg::word("WITHHASH").optional();
const COUNT_OR_ANY: Arg =
    arg::block("count-block", &[arg::integer("count").after("COUNT"), arg::word("ANY").optional()])
        .optional();
/// As above, where there was a COUNT before there was an ANY.
const COUNT: Arg = arg::block(
    "count-block",
    &[arg::integer("count").after("COUNT"), arg::word("ANY").since("6.2.0").optional()],
)
.optional();
const STORE: Arg = arg::one_of(
    "store",
    &[
        arg::key("storekey", 1).after("STORE").shown("key"),
        arg::key("storedistkey", 2).after("STOREDIST").shown("key"),
    ],
)
.optional();
const FROM: Arg = arg::one_of(
    "from",
    &[
        arg::string("member").after("FROMMEMBER"),
        arg::block("fromlonlat", &[arg::double("longitude"), arg::double("latitude")]).after("FROMLONLAT"),
    ],
);
const BY: Arg = arg::one_of(
    "by",
    &[
        arg::block("circle", &[arg::double("radius").after("BYRADIUS"), UNIT]),
        arg::block("box", &[arg::double("width").after("BYBOX"), arg::double("height"), UNIT]),
    ],
);

/// An index, and where its places are kept if the options say so.
const fn stored_behind(from: usize) -> Keys {
    key(&[RO, ACCESS]).behind(from, &["store", "storedist"], &[OW, UPDATE], &[("count", 1)])
}

pub(crate) const COMMANDS: &[Command] = &[
    row("georadius", -6, stored_behind(6), &[WRITE, DENYOOM], georadius)
        .docs("3.2.0", CIRCLE_COST, "Returns the places within a circle around a point.")
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")
        .takes(&[
            KEY,
            arg::double("longitude"),
            arg::double("latitude"),
            arg::double("radius"),
            UNIT,
            WITH_COORDINATES,
            WITH_DISTANCE,
            WITH_HASH,
            COUNT,
            ORDER,
            STORE,
        ]),
    row("georadius_ro", -6, key(&[RO, ACCESS]), &[READONLY], georadius_ro)
        .docs("3.2.10", CIRCLE_COST, "Returns the places within a circle around a point. Only reads.")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")
        .takes(&[
            KEY,
            arg::double("longitude"),
            arg::double("latitude"),
            arg::double("radius"),
            UNIT,
            WITH_COORDINATES,
            WITH_DISTANCE,
            WITH_HASH,
            COUNT,
            ORDER,
        ]),
    row("georadiusbymember", -5, stored_behind(5), &[WRITE, DENYOOM], georadiusbymember)
        .docs("3.2.0", CIRCLE_COST, "Returns the places within a circle around a place.")
        .deprecated(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )
        .takes(&[
            KEY,
            arg::string("member"),
            arg::double("radius"),
            UNIT,
            WITH_COORDINATES,
            WITH_DISTANCE,
            WITH_HASH,
            COUNT_OR_ANY,
            ORDER,
            STORE,
        ]),
    row("georadiusbymember_ro", -5, key(&[RO, ACCESS]), &[READONLY], georadiusbymember_ro)
        .docs("3.2.10", CIRCLE_COST, "Returns the places within a circle around a place. Only reads.")
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")
        .takes(&[
            KEY,
            arg::string("member"),
            arg::double("radius"),
            UNIT,
            WITH_COORDINATES,
            WITH_DISTANCE,
            WITH_HASH,
            COUNT_OR_ANY,
            ORDER,
        ]),
    row("geosearch", -7, key(&[RO, ACCESS]), &[READONLY], geosearch)
        .docs("6.2.0", SHAPE_COST, "Returns the places within a circle or a box.")
        .takes(&[KEY, FROM, BY, ORDER, COUNT_OR_ANY, WITH_COORDINATES, WITH_DISTANCE, WITH_HASH]),
    row(
        "geosearchstore",
        -8,
        Keys::range(1, 2, 1).with(&[OW, UPDATE]).and(&[RO, ACCESS]),
        &[WRITE, DENYOOM],
        geosearchstore,
    )
    .docs("6.2.0", SHAPE_COST, "Keeps the places within a circle or a box in a key.")
    .takes(&[
        arg::key("destination", 0),
        arg::key("source", 1),
        FROM,
        BY,
        ORDER,
        COUNT_OR_ANY,
        arg::word("STOREDIST").optional(),
    ]),
];

fn georadius(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Query::run(txn, args, Form::Around { may_store: true })
}

fn georadius_ro(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Query::run(txn, args, Form::Around { may_store: false })
}

fn georadiusbymember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Query::run(txn, args, Form::AroundMember { may_store: true })
}

fn georadiusbymember_ro(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Query::run(txn, args, Form::AroundMember { may_store: false })
}

fn geosearch(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Query::run(txn, args, Form::Search)
}

fn geosearchstore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Query::run(txn, args, Form::SearchAndStore)
}
