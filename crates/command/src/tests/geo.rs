//! Places on the earth. What Redis 7.0 answered.

use crate::testing::{Bench, MODES, check};

const SICILY: &str = "geoadd s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania => :2";

#[test]
fn places_are_added_and_looked_up() {
    check(&format!(
        r#"{SICILY}
        type s => +zset
        geopos s Palermo nowhere => [[Decimal(13.361389338970184) Decimal(38.1155563954963)] NullArray]
        geopos nosuch a b => [NullArray NullArray]
        geopos s => []
        geohash s Palermo nowhere Catania => ["sqc8b49rny0" nil "sqdtr74hyu0"]
        geohash nosuch a => [nil]
        geodist s Palermo Catania => "166274.1516"
        geodist s Palermo Catania KM => "166.2742"
        geodist s Palermo Catania mi => "103.3182"
        geodist s Palermo Palermo ft => "0.0000"
        geodist s Palermo nowhere => nil
        geodist nosuch a b => nil
        geodist s Palermo Catania x => -ERR unsupported unit provided. please use M, KM, FT, MI
        geodist s Palermo Catania m m => -ERR syntax error
        set text 1
        geopos text a => -WRONGTYPE Operation against a key holding the wrong kind of value
        geoadd text 1 1 a => -WRONGTYPE Operation against a key holding the wrong kind of value"#
    ));
}

#[test]
fn options_say_what_is_added() {
    check(
        "geoadd g 1 1 a => :1
        geoadd g nx 2 2 a 3 3 b => :1
        geoadd g xx ch 2 2 a 3 3 b 4 4 c => :1
        zcard g => :2
        geoadd g xx nx 1 1 a => -ERR syntax error
        geoadd g ch ch ch => -ERR syntax error
        geoadd g 1 1 a 2 2 => -ERR syntax error
        geoadd g x 1 a => -ERR value is not a valid float
        geoadd g 1 1 a 200 1 b => -ERR invalid longitude,latitude pair 200.000000,1.000000
        geoadd g 1 -85.1 b => -ERR invalid longitude,latitude pair 1.000000,-85.100000
        geoadd nosuch xx 1 1 a => :0
        exists nosuch => :0
        zcard g => :2",
    );
}

#[test]
fn searches_find_what_is_within_a_circle_or_a_box() {
    check(&format!(
        r#"{SICILY}
        geosearch s fromlonlat 15 37 byradius 200 km asc => ["Catania" "Palermo"]
        geosearch s fromlonlat 15 37 byradius 100 km => ["Catania"]
        geosearch s fromlonlat 15 37 bybox 400 400 km desc => ["Palermo" "Catania"]
        geosearch s fromlonlat 15 37 bybox 10 400 km => []
        geosearch s frommember Palermo byradius 0 m => ["Palermo"]
        geosearch s frommember Palermo byradius 200 km count 1 desc => ["Catania"]
        geosearch s frommember Palermo byradius 200 km count 1 => ["Palermo"]
        geosearch s fromlonlat 15 37 byradius 1e300 km asc => ["Catania" "Palermo"]
        geosearch s fromlonlat 15 37 byradius 200 km asc withcoord withdist withhash count 1 => [["Catania" "56.4413" :3479447370796909 [Decimal(15.087267458438873) Decimal(37.50266842333162)]]]
        georadius s 15 37 200 km desc withdist => [["Palermo" "190.4424"] ["Catania" "56.4413"]]
        georadius_ro s 15 37 100 km => ["Catania"]
        georadiusbymember s Palermo 200 km asc => ["Palermo" "Catania"]
        georadiusbymember_ro s Palermo 1 km => ["Palermo"]
        geosearch nosuch frommember a byradius 1 m => []
        georadiusbymember nosuch a x x => []"#
    ));
}

#[test]
fn what_is_found_can_be_kept() {
    check(&format!(
        r#"{SICILY}
        geosearchstore d s fromlonlat 15 37 byradius 200 km => :2
        zrange d 0 -1 => ["Palermo" "Catania"]
        zscore d Palermo => ,3479099956230698
        geosearchstore d s fromlonlat 15 37 byradius 200 km storedist count 1 => :1
        zrange d 0 -1 => ["Catania"]
        georadius s 15 37 200 km store d => :2
        georadius s 15 37 200 km storedist d => :2
        zrange d 0 -1 => ["Catania" "Palermo"]
        georadiusbymember s Palermo 1 km store s => :1
        zrange s 0 -1 => ["Palermo"]
        georadius s 0 0 1 m store d => :0
        exists d => :0
        set d 1
        georadiusbymember nosuch a 1 m store d => :0
        exists d => :0"#
    ));
}

#[test]
fn what_cannot_be_searched_for_is_refused() {
    check(&format!(
        "{SICILY}
        geosearch s fromlonlat 15 37 byradius 1 km frommember Palermo => -ERR syntax error
        geosearch s fromlonlat 15 37 asc asc asc => -ERR exactly one of BYRADIUS and BYBOX can be specified for geosearch
        GeoSearch s byradius 15 km asc asc asc => -ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GeoSearch
        geosearch s fromlonlat 15 37 byradius 1 km bybox 1 1 m => -ERR syntax error
        geosearch s fromlonlat 15 37 byradius -1 km => -ERR radius cannot be negative
        geosearch s fromlonlat 15 37 byradius x km => -ERR need numeric radius
        geosearch s fromlonlat 15 37 bybox x 1 km => -ERR need numeric width
        geosearch s fromlonlat 15 37 bybox 1 x km => -ERR need numeric height
        geosearch s fromlonlat 15 37 bybox 1 -1 km => -ERR height or width cannot be negative
        geosearch s fromlonlat 15 37 byradius 1 parsec => -ERR unsupported unit provided. please use M, KM, FT, MI
        geosearch s frommember nowhere byradius 1 km => -ERR could not decode requested zset member
        geosearch s fromlonlat 15 37 byradius 1 km any => -ERR the ANY argument requires COUNT argument
        geosearch s fromlonlat 15 37 byradius 1 km count 0 => -ERR COUNT must be > 0
        geosearch s fromlonlat 15 37 byradius 1 km storedist => -ERR syntax error
        georadius s 15 37 1 km store d withdist => -ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        geosearchstore d s fromlonlat 15 37 byradius 1 km withhash => -ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options
        georadius_ro s 15 37 1 km store d => -ERR syntax error
        geosearch s fromlonlat 15 97 byradius 1 km => -ERR invalid longitude,latitude pair 15.000000,97.000000",
    ));
}

/// A search of an index of thousands finds what is near, and all there is.
#[test]
fn large_indexes_are_searched_by_ranges() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        for band in 0..40 {
            let places = (0..100).map(|at| {
                let longitude = f64::from(at) * 3.5 - 175.0;
                let latitude = f64::from(band) * 4.0 - 80.0;
                format!(" {longitude} {latitude} {band}:{at}")
            });
            bench.run(&format!("geoadd g{}", places.collect::<String>()));
        }
        bench.store();
        let near = bench.answer("geosearch g fromlonlat 0 0 byradius 10 km asc");
        assert_eq!(near, r#"["20:50"]"#, "{mode:?}");
        let all = bench.answer("geosearchstore d g fromlonlat 0 0 byradius 30000 km");
        assert_eq!(all, ":4000", "{mode:?}");
        assert_eq!(bench.answer("zcard d"), ":4000");
    }
}
