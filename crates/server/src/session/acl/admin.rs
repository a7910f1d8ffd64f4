//! ACL: the commands about users.

use base::limits;
use command::{Args, Command, Error, Flags, arg};
use resp::Reply;

use super::{catalog, has_spaces, show};
use crate::session::rows::{self, ADMIN, CONTAINER, HELP, PLAIN, ok, reply};
use crate::session::{Answer, Context, SessionRun, client};

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("server", name, arity, flags, run)
}

const USERS: &str = "O(N). Where N is the number of configured users.";
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

pub const COMMANDS: &[Command<SessionRun>] = &[
    row("acl", -2, CONTAINER, client::unknown).docs(
        "6.0.0",
        "Depends on subcommand.",
        "Holds the commands about users.",
    ),
    row("acl|cat", -2, PLAIN, show::cat)
        .docs(
            "6.0.0",
            "O(1) since the categories and commands are a fixed set.",
            "Lists categories of commands, or what is in one.",
        )
        .takes(&[arg::string("category").optional()]),
    row("acl|deluser", -3, ADMIN, delete_users)
        .docs(
            "6.0.0",
            "O(1) amortized time considering the typical user.",
            "Deletes users, and closes their connections.",
        )
        .tips(ALL_NODES)
        .takes(&[arg::string("username").multiple()]),
    row("acl|dryrun", -4, ADMIN, show::dry_run)
        .docs("7.0.0", "O(1).", "Says whether a user may run a command.")
        .takes(&[arg::string("username"), arg::string("command"), arg::string("arg").optional().multiple()]),
    row("acl|genpass", -2, PLAIN, show::generate_password)
        .docs("6.0.0", "O(1)", "Makes up a password.")
        .takes(&[arg::integer("bits").optional()]),
    row("acl|getuser", 3, ADMIN, show::user)
        .docs(
            "6.0.0",
            "O(N). Where N is the number of password, command and pattern rules that the user has.",
            "Returns a user's rules.",
        )
        .takes(&[arg::string("username")]),
    row("acl|help", 2, HELP, help).docs("6.0.0", "O(1)", "Returns what the subcommands do."),
    row("acl|list", 2, ADMIN, show::list).docs(
        "6.0.0",
        USERS,
        "Returns the rules of all users, a line each.",
    ),
    row("acl|load", 2, ADMIN, load).docs("6.0.0", USERS, "Reads all users from the catalog again."),
    row("acl|log", -2, ADMIN, show::log)
        .docs("6.0.0", "O(N) with N being the number of entries shown.", "Returns who was refused what.")
        .takes(&[arg::one_of("operation", &[arg::integer("count"), arg::word("RESET")]).optional()]),
    row("acl|save", 2, ADMIN, save)
        .docs("6.0.0", USERS, "Does nothing: users are durable as soon as they are set.")
        .tips(ALL_NODES),
    row("acl|setuser", -3, ADMIN, set_user)
        .docs("6.0.0", "O(N). Where N is the number of rules provided.", "Makes a user, or changes one.")
        .tips(ALL_NODES)
        .takes(&[arg::string("username"), arg::string("rule").optional().multiple()]),
    row("acl|users", 2, ADMIN, show::names).docs("6.0.0", USERS, "Lists the names of all users."),
    row("acl|whoami", 2, PLAIN, who_am_i).docs("6.0.0", "O(1)", "Returns the connection's user."),
];

const LINES: &[&str] = &[
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <attribute> [<attribute> ...]",
    "    Create or modify a user with the specified attributes.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
];

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("ACL", LINES)
}

fn who_am_i(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(Reply::bulk(context.session.login.user().name.clone()))
}

fn set_user(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let name = args.get(2);
    if has_spaces(name) {
        return Err(Error::line("ERR Usernames can't contain spaces or null characters"));
    }
    if name.is_empty() {
        return Err(Error::line("ERR Usernames can't be empty"));
    }
    if name.len() > limits::USER_NAME_BYTES_MAX {
        let why = format!("ERR Usernames have at most {} bytes", limits::USER_NAME_BYTES_MAX);
        return Err(Error::text(why));
    }
    let args = args.to_owned();
    let caller = context.session.client.id;
    Ok(Answer::Heavy(Box::new(move |node, cancel| {
        let args = args.as_args();
        let rules: Vec<&[u8]> = args.from(3).collect();
        catalog::set_user(node, cancel, args.get(2), &rules, caller)
    })))
}

fn delete_users(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    if args.from(2).any(|name| name == super::DEFAULT) {
        return Err(Error::line("ERR The 'default' user cannot be removed"));
    }
    let args = args.to_owned();
    let caller = context.session.client.id;
    Ok(Answer::Heavy(Box::new(move |node, cancel| {
        let args = args.as_args();
        let names: Vec<&[u8]> = args.from(2).filter(|name| !name.is_empty()).collect();
        catalog::delete_users(node, cancel, &names, caller)
    })))
}

fn load(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    Ok(Answer::Heavy(Box::new(|node, _| catalog::load_again(node))))
}

/// There is no file: what was acknowledged is durable.
fn save(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    ok()
}
