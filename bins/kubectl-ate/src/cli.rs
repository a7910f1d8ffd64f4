//! The command line: what may be said, and the help. Options that belong to the connection go with
//! every command, before or after it.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::names::{Kind, Target, TargetParser, Template, label};
use crate::numbers;
use crate::output::Format;

const EXAMPLES: &str = "\
Examples:
  kubectl-ate create atespace demo
  kubectl-ate create actor counter-1 -a demo --template default/counter
  kubectl-ate resume actor counter-1 -a demo
  kubectl-ate get actors -A -o wide
  kubectl-ate get actors -A -o json | jq '.items[]'

kubectl finds it as a plugin: `kubectl ate get actors` is the same.
Exit codes: 0 all is done, 1 something failed (also: a mistake on the command line), 130 Ctrl-C,
141 nobody reads the output any more.";

const GET_EXAMPLES: &str = "\
Examples:
  kubectl-ate get actors                      every actor, page by page as they come
  kubectl-ate get actors -a demo -o wide      those of one atespace, with workers and snapshots
  kubectl-ate get actor counter-1 -a demo -o yaml
  kubectl-ate get actors --limit 1000         the first thousand, and how to go on
  kubectl-ate get actors -o name | head
  kubectl-ate get actors -a demo -w           what is there, then what changes
  kubectl-ate get workers
  kubectl-ate get atespaces

A listing has no order, may name an actor twice, and names every actor that exists all the while.
It holds one page in memory, however many actors there are. If it ends early (Ctrl-C, --limit, an
error) it says how to go on, and JSON and YAML are complete documents all the same.";

#[derive(Debug, Parser)]
#[command(name = "kubectl-ate", version, about = "The command line of the actor API", after_help = EXAMPLES)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows actors, workers or atespaces
    #[command(after_help = GET_EXAMPLES)]
    Get(GetArgs),
    /// Makes an actor or an atespace
    Create(CreateArgs),
    /// Deletes actors (suspended ones) or atespaces (empty ones)
    Delete(DeleteArgs),
    /// Changes on which workers actors may run, from their next resume on
    Update(UpdateArgs),
    /// Takes actors off their workers; their snapshots go to external storage
    Suspend(ChangeArgs),
    /// Takes actors off their workers; their snapshots stay on the node, for a quick resume
    Pause(ChangeArgs),
    /// Runs actors on free workers
    Resume(ResumeArgs),
    /// For trials and for those who run the service
    Admin(Admin),
    /// Shows the version of this program, and whether the server answers
    Version(VersionArgs),
    /// Prints a script that completes words in your shell
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion(CompletionArgs),
    /// What may follow, for `kubectl ate`
    #[command(name = "__complete", hide = true)]
    Complete(CompleteArgs),
}

/// Where the server is, and how to talk to it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The server: HOST:PORT, http://HOST:PORT or https://HOST:PORT
    #[arg(long, global = true, env = "ATE_ENDPOINT", value_name = "ADDR", default_value = "127.0.0.1:6381")]
    pub endpoint: String,

    /// Talk TLS; so do https:// and the options about certificates
    #[arg(long, global = true, env = "ATE_TLS", value_parser = FalseyValueParser::new())]
    pub tls: bool,

    /// The authorities in PEM that the server's certificate may come from [default: this machine's]
    #[arg(long, global = true, env = "ATE_CA_CERT", value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,

    /// The certificate in PEM to show to the server
    #[arg(long, global = true, env = "ATE_CLIENT_CERT", value_name = "FILE")]
    pub client_cert: Option<PathBuf>,

    /// That certificate's private key in PEM
    #[arg(long, global = true, env = "ATE_CLIENT_KEY", value_name = "FILE")]
    pub client_key: Option<PathBuf>,

    /// The name that the server's certificate must have [default: the endpoint's host]
    #[arg(long, global = true, env = "ATE_SERVER_NAME", value_name = "NAME")]
    pub server_name: Option<String>,

    /// How long one call may take, with all its tries; a listing makes one a page
    #[arg(long, global = true, env = "ATE_TIMEOUT", value_name = "TIME", default_value = "30s")]
    #[arg(value_parser = numbers::time)]
    pub timeout: Duration,
}

const EVERYTHING: TargetParser = TargetParser(&[Kind::Actor, Kind::Worker, Kind::Atespace]);
const CHANGEABLE: TargetParser = TargetParser(&[Kind::Actor, Kind::Atespace]);
const ACTORS: TargetParser = TargetParser(&[Kind::Actor]);

/// The most that a page may be asked for.
const CHUNK_MAX: i32 = 1000;

/// As with kubectl, none is no bound of ours.
fn chunk_size() -> impl TypedValueParser<Value = i32> {
    let number = clap::value_parser!(i32).range(0..=i64::from(CHUNK_MAX));
    number.map(|size| if size == 0 { CHUNK_MAX } else { size })
}

#[derive(Args, Debug)]
pub struct GetArgs {
    /// What to show; also with a name in it, as actor/ATESPACE/NAME
    #[arg(value_name = "TYPE", value_parser = EVERYTHING)]
    pub target: Target,

    /// Only these. An actor may be NAME with -a, or ATESPACE/NAME
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    #[command(flatten)]
    pub space: Space,

    /// Actors of every atespace, whatever ATE_ATESPACE says
    #[arg(short = 'A', long, conflicts_with = "atespace")]
    pub all_atespaces: bool,

    /// How to show it
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table")]
    pub output: Format,

    /// Tables without the line of titles
    #[arg(long)]
    pub no_headers: bool,

    /// Do not mind if some of the names do not exist
    #[arg(long)]
    pub ignore_not_found: bool,

    /// How many actors to ask for at a time; 0 for as many as the server gives
    #[arg(long, value_name = "N", default_value = "500", value_parser = chunk_size())]
    pub chunk_size: i32,

    /// Stop after so many actors, and say how to go on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "watch")]
    pub limit: Option<u64>,

    /// Go on with a listing that ended early
    #[arg(long, value_name = "TOKEN", conflicts_with = "watch")]
    pub page_token: Option<String>,

    /// Show what is there, then what is added, modified and deleted, until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,

    /// How many things --watch may remember, at about 150 bytes each
    #[arg(long, value_name = "N", default_value = "100000", requires = "watch")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub watch_limit: u64,

    /// How long --watch rests between two listings
    #[arg(long, value_name = "TIME", default_value = "2s", requires = "watch", value_parser = numbers::time)]
    pub watch_interval: Duration,
}

/// Which atespace.
#[derive(Args, Clone, Debug)]
pub struct Space {
    /// The atespace of the actors (or ATE_ATESPACE)
    #[arg(short, long, value_name = "ATESPACE")]
    pub atespace: Option<String>,
}

impl Space {
    /// What is said here, or else in the variable.
    pub fn or_variable(&self) -> Option<String> {
        let variable = || std::env::var("ATE_ATESPACE").ok();
        self.atespace.clone().or_else(variable).filter(|name| !name.is_empty())
    }
}

#[derive(Args, Debug)]
pub struct Selection {
    /// Only workers with this label will do; may be repeated
    #[arg(long = "selector-label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl-ate create atespace demo
  kubectl-ate create actor counter-1 -a demo --template default/counter
  kubectl-ate create actor counter-2 -a demo --template default/counter --selector-label disk=ssd")]
pub struct CreateArgs {
    /// What to make
    #[arg(value_name = "TYPE", value_parser = CHANGEABLE)]
    pub target: Target,

    /// Their names
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    #[command(flatten)]
    pub space: Space,

    /// The template that the actor derives from
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub template: Option<Template>,

    #[command(flatten)]
    pub selection: Selection,

    /// Show it in this format
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl-ate delete actor counter-1 counter-2 -a demo
  kubectl-ate get actors -a demo -o name | xargs kubectl-ate delete
  kubectl-ate delete atespace demo")]
pub struct DeleteArgs {
    /// What to delete; also with a name in it, as actor/ATESPACE/NAME
    #[arg(value_name = "TYPE", value_parser = CHANGEABLE)]
    pub target: Target,

    /// Their names
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    #[command(flatten)]
    pub space: Space,

    /// Do not mind if some do not exist
    #[arg(long)]
    pub ignore_not_found: bool,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl-ate update actor counter-1 -a demo --selector-label disk=ssd --selector-label zone=a
  kubectl-ate update actor counter-1 -a demo --clear-selector")]
pub struct UpdateArgs {
    #[command(flatten)]
    pub change: ChangeArgs,

    #[command(flatten)]
    pub selection: Selection,

    /// Any worker will do
    #[arg(long, conflicts_with = "labels", required_unless_present = "labels")]
    pub clear_selector: bool,
}

#[derive(Args, Debug)]
pub struct ChangeArgs {
    /// actor; also with a name in it, as actor/ATESPACE/NAME
    #[arg(value_name = "TYPE", value_parser = ACTORS)]
    pub target: Target,

    /// Their names
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    #[command(flatten)]
    pub space: Space,

    /// Show them in this format
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
}

#[derive(Args, Debug)]
pub struct ResumeArgs {
    #[command(flatten)]
    pub change: ChangeArgs,

    /// Start from the template, as if there were no snapshot
    #[arg(long)]
    pub boot: bool,
}

#[derive(Args, Debug)]
pub struct Admin {
    #[command(subcommand)]
    pub command: AdminCommand,
}

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Makes many actors through the API, for trials; or removes them
    Load(LoadArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "\
The actors are called PREFIX-0, PREFIX-1 and so on. Those that are there already count as made, so
the same command can be given again after it was stopped; it also says from where to go on.

Examples:
  kubectl-ate admin load -a trial --count 1000000 --template default/counter
  kubectl-ate admin load -a trial --count 1000000 --delete")]
pub struct LoadArgs {
    /// Into which atespace; it must exist
    #[arg(short, long, value_name = "ATESPACE")]
    pub atespace: String,

    /// How many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,

    /// What their names begin with
    #[arg(long, value_name = "TEXT", default_value = "load")]
    pub prefix: String,

    /// How many calls are under way at a time
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: u16,

    /// The template that they derive from
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "default/load")]
    pub template: Template,

    #[command(flatten)]
    pub selection: Selection,

    /// Begin with this one: those before it are left alone
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub start: u64,

    /// Remove them; those that are not there count as removed
    #[arg(long)]
    pub delete: bool,
}

#[derive(Args, Debug)]
pub struct VersionArgs {
    /// Only of this program: ask no server
    #[arg(long)]
    pub client: bool,

    /// How to show it
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<crate::version::Format>,
}

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(kubectl-ate completion bash)
  kubectl-ate completion zsh > ~/.zfunc/_kubectl-ate
  kubectl-ate completion fish > ~/.config/fish/completions/kubectl-ate.fish

For `kubectl ate`, put an executable file `kubectl_complete-ate` beside kubectl-ate:
  #!/bin/sh
  exec kubectl-ate __complete \"$@\"";

#[derive(Args, Debug)]
pub struct CompletionArgs {
    /// Which shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[derive(Args, Debug)]
pub struct CompleteArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(line: &str, expected: &str) {
        let error = parse(line).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_of_the_connection_stand_anywhere() {
        for line in ["kubectl-ate --endpoint x:1 get actors", "kubectl-ate get actors --endpoint x:1"] {
            assert_eq!(parse(line).unwrap().connection.endpoint, "x:1");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        refused(
            "kubectl-ate get pods",
            "there is no resource type \"pods\" here: actors, workers, atespaces",
        );
        refused("kubectl-ate suspend atespace demo", "no resource type \"atespace\" here: actors");
        refused("kubectl-ate get actors -o xml", "table, wide, json, yaml, name");
        refused("kubectl-ate get actors --chunk-size 1001", "0..=1000");
        refused("kubectl-ate get actors -A -a demo", "cannot be used with");
        refused("kubectl-ate get actors -w --limit 3", "cannot be used with");
        refused("kubectl-ate update actor a -a demo", "--clear-selector");
        refused("kubectl-ate get actors --timeout soon", "wanted: a time");
    }
}
