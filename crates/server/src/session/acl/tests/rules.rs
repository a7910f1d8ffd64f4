//! Rules, and the lines that they lead to.

use super::{changed, user};
use crate::session::acl::{Unreadable, User};

fn line(user: &User) -> String {
    String::from_utf8(user.describe()).unwrap()
}

/// What a new user's line says after these rules, behind `user u`. It is read back from its record.
#[track_caller]
fn check(rules: &str, expected: &str) {
    let user = user(rules).unwrap();
    assert_eq!(line(&user), format!("user u {expected}"), "{rules}");
    let read = User::from_record(b"u", &user.record()).unwrap();
    assert_eq!(line(&read), line(&user), "{rules}");
}

#[track_caller]
fn check_error(rules: &str, expected: &str) {
    assert_eq!(user(rules).map(|user| line(&user)), Err(format!("ERR {expected}")), "{rules}");
}

#[test]
fn a_user_is_switched_on_and_off() {
    check("", "off sanitize-payload resetchannels -@all");
    check("on", "on sanitize-payload resetchannels -@all");
    check("ON Off", "off sanitize-payload resetchannels -@all");
    check("skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all");
    check("skip-sanitize-payload sanitize-payload \"\"", "off sanitize-payload resetchannels -@all");
    check("on nopass ~* &* +@all (+get) reset", "off sanitize-payload resetchannels -@all");
}

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OF_PW: &str = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";

#[test]
fn passwords_come_and_go() {
    check(&format!(">pw #{A} >pw"), &format!("off sanitize-payload #{OF_PW} #{A} resetchannels -@all"));
    check(&format!("#{A} >pw !{A}"), &format!("off sanitize-payload #{OF_PW} resetchannels -@all"));
    check("nopass >pw", &format!("off sanitize-payload #{OF_PW} resetchannels -@all"));
    check(">pw nopass", "off nopass sanitize-payload resetchannels -@all");
    check("nopass resetpass", "off sanitize-payload resetchannels -@all");
    check(">pw <pw", "off sanitize-payload resetchannels -@all");
    let missing = "The password you are trying to remove from the user does not exist";
    check_error("<pw", &format!("Error in ACL SETUSER modifier '<pw': {missing}"));
    let hash =
        "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    check_error("#abc", &format!("Error in ACL SETUSER modifier '#abc': {hash}"));
    let upper = A.to_uppercase();
    check_error(&format!("!{upper}"), &format!("Error in ACL SETUSER modifier '!{upper}': {hash}"));
}

#[test]
fn keys_and_channels_are_patterns() {
    check("~a* ~b ~a*", "off sanitize-payload ~a* ~b resetchannels -@all");
    check("%R~a %W~a %r~b %wR~c %W~d", "off sanitize-payload ~a %R~b ~c %W~d resetchannels -@all");
    check("~", "off sanitize-payload ~ resetchannels -@all");
    check("%R %rw", "off sanitize-payload ~ resetchannels -@all");
    check("~a AllKeys", "off sanitize-payload ~* resetchannels -@all");
    check("%RW~*", "off sanitize-payload ~* resetchannels -@all");
    check("~a resetkeys ~b", "off sanitize-payload ~b resetchannels -@all");
    check("&a &b &a", "off sanitize-payload resetchannels &a &b -@all");
    check("&a allchannels", "off sanitize-payload &* -@all");
    check("&a resetchannels &b", "off sanitize-payload resetchannels &b -@all");
    for rule in ["%~a", "%RR~a", "%x~a", "%", "~a b", "&a b", "%R~a b"] {
        check_error(&format!("\"{rule}\""), &format!("Error in ACL SETUSER modifier '{rule}': Syntax error"));
    }
    check_error(
        "~* ~a",
        "Error in ACL SETUSER modifier '~a': Adding a pattern after the * pattern (or the 'allkeys' flag) is not \
         valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns",
    );
    check_error(
        "&* &a",
        "Error in ACL SETUSER modifier '&a': Adding a pattern after the * pattern (or the 'allchannels' flag) is \
         not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels",
    );
}

/// The rules about commands after these.
#[track_caller]
fn check_commands(rules: &str, expected: &str) {
    check(rules, &format!("off sanitize-payload resetchannels {expected}"));
}

#[test]
fn later_rules_replace_those_about_the_same() {
    check_commands("+select|AbC +GET +@Hash", "-@all +select|abc +get +@hash");
    check_commands("+get +set -get", "-@all +set -get");
    check_commands("+get +@read -get", "-@all +@read -get");
    check_commands("+@read -get +mget +@read", "-@all -get +mget +@read");
    check_commands("+Config|Set +config", "-@all +config");
    check_commands("+config|get -config +config|set", "-@all -config +config|set");
    check_commands("+@all -config|get", "+@all -config|get");
    check_commands("+get +@all", "+@all");
    check_commands("+@all -get nocommands", "-@all");
    check_commands("allcommands -@dangerous +@ALL -@admin", "+@all -@admin");
    check_commands("+debug|a +debug|b +debug|A", "-@all +debug|b +debug|a");
    check_commands("+debug|a -debug", "-@all -debug");
    check_commands("+memory|usage +memory", "-@all +memory");
    check_commands("+object|help -object|freq -object", "-@all -object");
    check_commands("+getex +get -getex", "-@all +get -getex");
}

#[test]
fn rules_about_what_there_is_not_are_refused() {
    for rule in [
        "+nosuch",
        "-nosuch",
        "+@nosuch",
        "-@",
        "+",
        "-",
        "+config|nosuch",
        "+nosuch|x",
        "-get|x",
        "-select|0",
    ] {
        let expected =
            format!("Error in ACL SETUSER modifier '{rule}': Unknown command or category name in ACL");
        check_error(rule, &expected);
    }
    for rule in ["foo", ")", "+get|", "+select|a b", "@all", "*"] {
        check_error(&format!("\"{rule}\""), &format!("Error in ACL SETUSER modifier '{rule}': Syntax error"));
    }
    check_error(
        "+config|get|x",
        "Error in ACL SETUSER modifier '+config|get|x': Allowing first-arg of a subcommand is not supported",
    );
}

#[test]
fn selectors_stand_behind() {
    check("(~x +get)", "off sanitize-payload resetchannels -@all (~x resetchannels -@all +get)");
    check("(~x +get ~y)", "off sanitize-payload resetchannels -@all (~x ~y resetchannels -@all +get)");
    check(
        "() ( +@all -@write &* ) ~a",
        "off sanitize-payload ~a resetchannels -@all (resetchannels -@all) (&* +@all -@write)",
    );
    check(
        "(+get) clearselectors (+set)",
        "off sanitize-payload resetchannels -@all (resetchannels -@all +set)",
    );
    check("\"( '+get' )\"", "off sanitize-payload resetchannels -@all (resetchannels -@all +get)");
    check("\"('+get)\"", "off sanitize-payload resetchannels -@all (resetchannels -@all)");
    check_error(
        "(~a) +get)",
        "Error in ACL SETUSER modifier '+get)': Unknown command or category name in ACL",
    );
    check_error("(+get", "Unmatched parenthesis in acl selector starting at '(+get'.");
    check_error("on (+get +set ( +x", "Unmatched parenthesis in acl selector starting at '(+get'.");
    check_error("( foo )", "Error in ACL SETUSER modifier '( foo )': Syntax error");
    check_error("(on)", "Error in ACL SETUSER modifier '(on)': Syntax error");
    check_error("(~a b)", "Error in ACL SETUSER modifier '(~a b)': Syntax error");
}

#[test]
fn rules_are_applied_to_what_was_there_or_not_at_all() {
    let before = user("on >a ~a +get (+set)").unwrap();
    let after = changed(&before, "~b -get (~c)").unwrap();
    assert!(
        line(&after)
            .ends_with(" ~a ~b resetchannels -@all -get (resetchannels -@all +set) (~c resetchannels -@all)")
    );
    assert!(changed(&before, "off foo").is_err());
    assert!(line(&before).starts_with("user u on "));
}

#[test]
fn the_default_user_may_everything() {
    assert_eq!(line(&User::initial()), "user default on nopass sanitize-payload ~* &* +@all");
    assert!(User::initial().may_everything() && User::initial().is_administrator());
}

#[test]
fn what_no_rule_can_be_is_a_damaged_record() {
    let good = user("on >pw ~x) (~a) (+get) +config|get").unwrap().record();
    assert!(User::from_record(b"u", &good).is_ok());
    for record in ["", "on  ~a", "on (", "on ( ~a", "on )", "on ( ( ) )", "on +nosuch", "#abc", "on\0"] {
        let read = User::from_record(b"u", record.as_bytes());
        let why: Unreadable = read.map(|user| line(&user)).unwrap_err();
        assert!(why.to_string().starts_with("the record of the user 'u' is damaged: "), "{why}");
    }
    assert!(User::from_record(b"a b", &good).is_err());
}
