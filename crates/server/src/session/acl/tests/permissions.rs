//! What rules allow.

use super::user;
use crate::session::acl::{Denied, may};
use crate::table::{Entry, table};
use command::{Args, OwnedArgs};

fn find(args: &Args<'_>) -> &'static Entry {
    let entry = table().find(args.get(0)).unwrap();
    table().find_sub(entry, args.get(1)).unwrap_or(entry)
}

/// What ACL DRYRUN says of calls to a user with these rules: nothing, or who may not what.
#[track_caller]
fn check(rules: &str, calls: &[(&str, &str)]) {
    let user = user(rules).unwrap();
    for (call, expected) in calls {
        let args = OwnedArgs::of(call.split(' ').map(str::as_bytes));
        let args = args.as_args();
        let entry = find(&args);
        let said = may(&user, entry, &args).err().map(|denied| denied.explain(&user, entry, &args));
        let said = said.map(|said| String::from_utf8(said).unwrap());
        let said = said.as_deref().and_then(|said| said.strip_prefix("User u has no permissions to "));
        assert_eq!(said.unwrap_or(""), *expected, "{rules}: {call}");
    }
}

#[test]
fn commands_are_allowed_one_by_one_by_category_and_by_argument() {
    check(
        "~* &* +@read -get +config|get +select|0 +select|One",
        &[
            ("strlen a", ""),
            ("get a", "run the 'get' command"),
            ("set a b", "run the 'set' command"),
            ("config get a", ""),
            ("config set a b", "run the 'config|set' command"),
            ("select 0", ""),
            ("select oNE", ""),
            ("select 1", "run the 'select' command"),
            ("ping", "run the 'ping' command"),
            // Everybody may.
            ("auth x", ""),
            ("hello", ""),
            ("reset", ""),
            ("quit", ""),
        ],
    );
    check("~* +select|0 -select", &[("select 0", "run the 'select' command")]);
    check("~* +select|0 -@fast", &[("select 0", "run the 'select' command")]);
    check("~* +select|0 -@read", &[("select 0", "")]);
    check("~* +@all -config", &[("config get a", "run the 'config|get' command"), ("get a", "")]);
    check("~* -@all +config", &[("config get a", "")]);
    check(
        "~* +@all -config +config|get",
        &[("config get a", ""), ("config set a b", "run the 'config|set' command")],
    );
}

#[test]
fn keys_are_allowed_by_what_is_done_with_them() {
    check(
        "~a* %R~r* %W~w* +@all",
        &[
            ("get a1", ""),
            ("get b", "access the 'b' key"),
            ("get w1", "access the 'w1' key"),
            ("get r1", ""),
            ("set w1 x", ""),
            ("set w1 x get", "access the 'w1' key"),
            ("set r1 x", "access the 'r1' key"),
            ("set a1 x get", ""),
            // Only whether it is there.
            ("exists w1 r1", ""),
            ("exists a1 zz", "access the 'zz' key"),
            ("mget a1 r1 w1", "access the 'w1' key"),
            ("mset a1 1 w1 2 r1 3", "access the 'r1' key"),
            ("rename a1 w1", ""),
            ("rename r1 w1", "access the 'r1' key"),
            ("copy r1 w1", ""),
            ("copy w1 r1", "access the 'w1' key"),
            ("sort a1 store w1", ""),
            ("sort a1 store r1", "access the 'r1' key"),
            ("sort a1 by nosort", ""),
            ("zunionstore w1 2 r1 r2", ""),
            ("zunionstore r1 2 r1 r2", "access the 'r1' key"),
            // There are not as many keys as it says: it fails by itself.
            ("zunionstore w1 9 w", ""),
            ("bitfield r1 get u8 0", ""),
            ("bitfield w1 get u8 0", "access the 'w1' key"),
            ("bitfield w1 set u8 0 1", "access the 'w1' key"),
            ("bitfield a1 set u8 0 1", ""),
            ("ping", ""),
        ],
    );
    check("+@all", &[("get a", "access the 'a' key"), ("exists a", "access the 'a' key"), ("dbsize", "")]);
    check("+@all %R~*", &[("get a", ""), ("set a b", "access the 'a' key"), ("exists a", "")]);
}

#[test]
fn any_selector_is_enough() {
    let rules = "~a* +get (~b* +set) (%R~c* +@all)";
    check(
        rules,
        &[
            ("get a", ""),
            ("set b x", ""),
            ("get b", "access the 'b' key"),
            ("get c", ""),
            ("set c x", "access the 'c' key"),
            ("del c a", "access the 'c' key"),
            ("ping", ""),
        ],
    );
    // The last of the keys that some selector stumbles upon is told.
    check("~a +mget (~b +mget)", &[("mget a b", "access the 'b' key"), ("get a", "run the 'get' command")]);
}

#[test]
fn sort_by_other_keys_needs_the_right_to_read_all() {
    let denied = |rules: &str, call: &str| {
        let user = user(rules).unwrap();
        let args = OwnedArgs::of(call.split(' ').map(str::as_bytes));
        let denied = may(&user, find(&args.as_args()), &args.as_args());
        matches!(denied, Err(Denied::AnyKey(_)))
    };
    for (rules, call, expected) in [
        ("~a +sort", "sort a", false),
        ("~a +sort", "sort a by nosort", false),
        ("~a +sort", "sort a by w*", true),
        ("~a +sort", "sort a get #", true),
        ("~* +sort", "sort a by w* get w*", false),
        ("%R~* +sort", "sort a by w*", false),
        ("%W~* ~a +sort", "sort a by w*", true),
        ("~a +sort (~*)", "sort a by w*", true),
        ("~a +sort (~* +sort)", "sort a by w*", false),
        ("~a +sort_ro", "sort_ro a get x*", true),
    ] {
        assert_eq!(denied(rules, call), expected, "{rules}: {call}");
    }
}

#[test]
fn channels_are_patterns_and_patterns_are_names() {
    let user = user("&ch* &x").unwrap();
    for (channel, is_pattern, expected) in [
        ("ch1", false, true),
        ("x", false, true),
        ("y", false, false),
        ("ch*", true, true),
        ("ch1*", true, false),
    ] {
        assert_eq!(user.may_hear(channel.as_bytes(), is_pattern), expected, "{channel}");
    }
}

#[test]
fn administrators_may_run_every_command_of_that_category() {
    for (rules, expected) in [
        ("+@all", true),
        ("+@admin", true),
        ("-@all", false),
        ("+@all -acl|setuser", false),
        ("+@all -shutdown +shutdown|nosave", false),
        ("(+@admin)", true),
    ] {
        assert_eq!(user(rules).unwrap().is_administrator(), expected, "{rules}");
    }
}

#[test]
fn everything_is_one_answer() {
    for (rules, expected) in [
        ("~* &* +@all", true),
        ("+@all ~* &* -get", false),
        ("~* &* +@all -get +get", false),
        ("~* +@all", false),
        ("%RW~* &* +@all", false),
        ("(~* &* +@all)", true),
    ] {
        assert_eq!(user(rules).unwrap().may_everything(), expected, "{rules}");
    }
}
