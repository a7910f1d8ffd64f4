//! The command line. An option may also come from a variable `BULKHEAD_…` or from the file that
//! `--config` names; what is said on the command line counts first, then the variable, then the file.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use console::{Listen, LogFormat, listen, units};
use server::config;

use crate::file;
use crate::tls::TlsArgs;

const ABOUT: &str = "A Redis-compatible database that keeps its promises under load";

const EXAMPLES: &str = "\
Examples:
  bulkhead serve
      A durable single node: Redis protocol on 127.0.0.1:6379, metrics and a dashboard on
      127.0.0.1:6380, the actor API on 127.0.0.1:6381, data in ./bulkhead-data.
      Try it: redis-cli set greeting hello; kubectl-ate get atespaces

  bulkhead serve --listen 0.0.0.0:6379 --requirepass hunter2 --data /var/lib/bulkhead
      Open to the network, with a password.

  BULKHEAD_CACHE=4GiB bulkhead serve --config /etc/bulkhead.toml
      Every option may be a variable (BULKHEAD_ and its name in capitals, - as _) or a line of a
      TOML file (listen = \"0.0.0.0:6379\"). The command line counts first, then the variable, then
      the file.

  bulkhead serve --tls-listen 0.0.0.0:6390 --tls-cert node.crt --tls-key node.key --tls-client-ca ca.crt
      With TLS, for clients that show a certificate of that authority.

  bulkhead serve --groups 8
      As a Redis Cluster whose slots are spread over 8 groups. Fixed when --data is created.";

#[derive(Debug, Parser)]
#[command(name = "bulkhead", version, about = ABOUT, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server.
    #[command(after_help = EXAMPLES)]
    Serve(Box<Options>),
}

/// The options of `bulkhead serve`.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// Where clients that speak the Redis protocol connect; `off` for nowhere.
    #[arg(long, env = "BULKHEAD_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:6379")]
    #[arg(value_parser = listen)]
    pub listen: Listen,

    /// Where plain clients of a cluster connect. Not offered yet: only `off`.
    #[arg(long, env = "BULKHEAD_LISTEN_ANY", value_name = "ADDR", default_value = "off")]
    #[arg(value_parser = only_off)]
    pub listen_any: Listen,

    /// Where the dashboard, /metrics, /healthz and /readyz are served; `off` for nowhere.
    #[arg(long, env = "BULKHEAD_HTTP", value_name = "ADDR", default_value = "127.0.0.1:6380")]
    #[arg(value_parser = listen)]
    pub http: Listen,

    /// Where the actor API is served, over this node, for kubectl-ate and others that speak gRPC; `off` for nowhere. With
    /// --tls-cert it speaks nothing but TLS, with the same files and --tls-client-auth.
    #[arg(long, env = "BULKHEAD_ATEAPI", value_name = "ADDR", default_value = "127.0.0.1:6381")]
    #[arg(value_parser = listen)]
    pub ateapi: Listen,

    /// A collector that takes the spans of the actor API by OTLP over gRPC, such as http://127.0.0.1:4317, or https:// for
    /// TLS [default: OTEL_EXPORTER_OTLP_ENDPOINT, or none]
    #[arg(long, env = "BULKHEAD_ATEAPI_OTLP_ENDPOINT", value_name = "URL")]
    pub ateapi_otlp_endpoint: Option<String>,

    /// Where the data is. Created if it is not there; used by one process at a time.
    #[arg(long, env = "BULKHEAD_DATA", value_name = "DIR", default_value = "./bulkhead-data")]
    pub data: PathBuf,

    /// This node's number. Fixed when --data is created [default: 1]
    #[arg(long, env = "BULKHEAD_NODE_ID", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub node_id: Option<u64>,

    /// Into how many groups the hash slots are divided. One is a standalone Redis; more behave as a
    /// Redis Cluster. Fixed when --data is created [default: 1]
    #[arg(long, env = "BULKHEAD_GROUPS", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(server::config::GROUPS_MAX)))]
    pub groups: Option<u16>,

    /// When a write is acknowledged: when it is on disk, or up to a second before.
    #[arg(long, env = "BULKHEAD_FSYNC", value_name = "WHEN", default_value = "always")]
    pub fsync: Fsync,

    /// Memory for caches. What else is in memory comes on top: connections, pending writes (up to
    /// 128 MiB), the store's write buffers [default: 320 MiB, but at most 20 % of --memory-hard]
    #[arg(long, env = "BULKHEAD_CACHE", value_name = "SIZE", value_parser = units::size)]
    pub cache: Option<u64>,

    /// Threads that serve connections [default: half of the CPUs, at most 16]
    #[arg(long, env = "BULKHEAD_NET_THREADS", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub net_threads: Option<u16>,

    /// Threads for commands that touch much [default: twice the CPUs]
    #[arg(long, env = "BULKHEAD_HEAVY_THREADS", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=config::HEAVY_THREADS_MAX as i64))]
    pub heavy_threads: Option<u16>,

    /// CPUs for those threads, for flushes and compactions, and for maintenance, so that all others find one at once
    /// [default: all but one, or seven eighths of many]
    #[arg(long, env = "BULKHEAD_BACKGROUND_CPUS", value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub background_cpus: Option<u16>,

    /// Commands of one class (scans, ranges, scripts) that may wait for those threads; the next one is told BUSY.
    #[arg(long, env = "BULKHEAD_HEAVY_QUEUE", value_name = "N", default_value = "64")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=config::HEAVY_QUEUE_MAX as i64))]
    pub heavy_queue: u32,

    /// A command that works on those threads for longer is stopped: it is told BUSY, and has had no effect. 0 for never.
    #[arg(long, env = "BULKHEAD_HEAVY_TIMEOUT", value_name = "TIME", default_value = "60s")]
    #[arg(value_parser = units::time)]
    pub heavy_timeout: Duration,

    /// Connections at a time; the next one is turned away. The last of them, eight at most, are kept back for
    /// administrators. Fewer if there are not enough open files (ulimit -n).
    #[arg(long, env = "BULKHEAD_MAX_CONNECTIONS", value_name = "N", default_value = "10000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,

    /// Connections from one address at a time; the next one is turned away. 0 for any number.
    #[arg(long, env = "BULKHEAD_MAX_CONNECTIONS_PER_PEER", value_name = "N", default_value = "256")]
    pub max_connections_per_peer: u32,

    /// A client that has sent half of a command, or leaves replies unread, of 64 KiB or more in all, and does not go on for so
    /// long is disconnected. 0 for never.
    #[arg(long, env = "BULKHEAD_STALL_TIMEOUT", value_name = "TIME", default_value = "60s")]
    #[arg(value_parser = units::time)]
    pub stall_timeout: Duration,

    /// Resident memory from which on heavy work, writes that need more and new connections are refused [default: 80 % of
    /// --memory-hard]
    #[arg(long, env = "BULKHEAD_MEMORY_SOFT", value_name = "SIZE", value_parser = units::size)]
    pub memory_soft: Option<u64>,

    /// Resident memory that is not to be reached; 0 for any [default: 90 % of the control group's limit, or of the
    /// machine's memory]
    #[arg(long, env = "BULKHEAD_MEMORY_HARD", value_name = "SIZE", value_parser = units::size)]
    pub memory_hard: Option<u64>,

    /// Whether to find out which keys are hot and which are large, which the dashboard and INFO keys then name.
    #[arg(long, env = "BULKHEAD_SAMPLE_KEYS", value_name = "yes|no", default_value = "yes")]
    #[arg(value_parser = yes_or_no)]
    pub sample_keys: bool,

    /// The password that clients must give with AUTH. Better in a variable or a file than here, where
    /// other users of the machine see it.
    #[arg(long, env = "BULKHEAD_REQUIREPASS", value_name = "PASSWORD", hide_env_values = true)]
    pub requirepass: Option<String>,

    #[command(flatten)]
    pub tls: TlsArgs,

    /// A TOML file with options by the same names.
    #[arg(long, env = "BULKHEAD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What is logged to stderr: error, warn, info, debug or trace; also by part, as in the
    /// default.
    #[arg(long, env = "BULKHEAD_LOG_LEVEL", value_name = "LEVEL", default_value = "info,openraft=warn")]
    pub log_level: String,

    /// How it is logged.
    #[arg(long, env = "BULKHEAD_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fsync {
    /// Every write is on disk before it is acknowledged.
    Always,
    /// Every second; a power cut may take the last one.
    Everysec,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("wanted: yes or no".into()),
    }
}

fn only_off(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen(None));
    }
    Err("not offered yet: a later version serves any key from any node here".into())
}

/// Understands the command line, the variables and the file.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let matches = Cli::command().try_get_matches_from(&args)?;
    let serve = matches.subcommand().map(|(_, serve)| serve);
    let path = serve.and_then(|serve| serve.get_one::<PathBuf>("config"));
    let (Some(serve), Some(path)) = (serve, path) else { return finish(&matches) };
    let known: Vec<String> = option_names();
    let complain =
        |why: String| Cli::command().error(ErrorKind::InvalidValue, format!("{}: {why}", path.display()));
    let lines = file::read(path, &known).map_err(complain)?;
    let mut args = args;
    for (name, value) in lines.into_iter().filter(|(name, _)| !is_given(serve, name)) {
        args.push(format!("--{name}={value}").into());
    }
    let merged = Cli::command().try_get_matches_from(&args);
    finish(&merged.map_err(|error| in_file(path, &error))?)
}

fn finish(matches: &ArgMatches) -> Result<Options, clap::Error> {
    let Command::Serve(options) = Cli::from_arg_matches(matches)?.command;
    Ok(*options)
}

/// The command line alone was right, so the mistake is in the file.
fn in_file(path: &std::path::Path, error: &clap::Error) -> clap::Error {
    let text = error.to_string();
    let why = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Cli::command().error(error.kind(), format!("{}: {why}", path.display()))
}

/// Whether the command line or a variable says it.
fn is_given(serve: &ArgMatches, name: &str) -> bool {
    let source = serve.value_source(&name.replace('-', "_"));
    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

/// What a file may say. It cannot name another file.
fn option_names() -> Vec<String> {
    let command = Options::command();
    let names = command.get_arguments().filter_map(|arg| arg.get_long());
    names.filter(|name| !matches!(*name, "config" | "help" | "version")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Options, String> {
        let words = line.split_whitespace().map(OsString::from);
        parse(words).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(line: &str, expected: &str) {
        let error = parse_line(line).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_options_it_is_a_durable_node_for_this_machine() {
        let options = parse_line("bulkhead serve").unwrap();
        assert_eq!(options.listen, listen("127.0.0.1:6379").unwrap());
        assert_eq!(options.http, listen("127.0.0.1:6380").unwrap());
        assert_eq!(options.ateapi, listen("127.0.0.1:6381").unwrap());
        assert_eq!(options.fsync, Fsync::Always);
        assert_eq!((options.groups, options.node_id), (None, None));
        assert_eq!(options.cache, None);
    }

    #[test]
    fn the_file_counts_less_than_the_command_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bulkhead.toml");
        std::fs::write(&file, "cache = \"1GiB\"\ngroups = 3\nlisten = \"off\"\nfsync = \"everysec\"\n")
            .unwrap();
        let line = format!("bulkhead serve --groups 5 --config {}", file.display());
        let options = parse_line(&line).unwrap();
        assert_eq!(options.groups, Some(5), "the command line counts first");
        assert_eq!(options.cache, Some(1 << 30));
        assert_eq!(options.listen, Listen(None));
        assert_eq!(options.fsync, Fsync::Everysec);
    }

    #[test]
    fn mistakes_in_the_file_name_the_file_and_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bulkhead.toml");
        let line = format!("bulkhead serve --config {}", file.display());
        for (text, expected) in [
            ("cahce = \"1GiB\"", "unknown key 'cahce': did you mean 'cache'?"),
            ("cache = \"1 parsec\"", "'parsec' is no unit"),
            ("groups = 0", "invalid value '0' for '--groups"),
            ("listen = [1]", "'listen' must be a string, a number or a truth value"),
            ("listen = \"off", "bulkhead.toml"),
            ("config = \"other\"", "unknown key 'config'"),
        ] {
            std::fs::write(&file, text).unwrap();
            refused(&line, expected);
            refused(&line, "bulkhead.toml");
        }
        std::fs::remove_file(&file).unwrap();
        refused(&line, "cannot be read");
    }

    #[test]
    fn mistakes_are_explained() {
        refused("bulkhead serve --cache much", "a size is a number and a unit");
        refused("bulkhead serve --listen nowhere", "wanted: HOST:PORT");
        refused("bulkhead serve --ateapi nowhere", "wanted: HOST:PORT");
        refused("bulkhead serve --listen-any 0.0.0.0:1", "not offered yet");
        refused("bulkhead serve --fsync never", "always");
        refused("bulkhead serve --sample-keys maybe", "wanted: yes or no");
        refused("bulkhead serve --gruops 2", "--groups");
        refused("bulkhead", "Usage");
    }
}
