//! `version`: of this program. The API tells no version of the server, only whether it serves.

use ateproto::control_server::SERVICE_NAME;
use clap::ValueEnum;
use serde::Serialize;
use tonic::Code;

use crate::Session;
use crate::cli::VersionArgs;
use crate::failure::Failure;
use crate::output::{self, push_line};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Json,
    Yaml,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Server>,
}

#[derive(Serialize)]
struct Server {
    endpoint: String,
    health: &'static str,
}

pub async fn run(mut session: Session, args: VersionArgs) -> Result<(), Failure> {
    // What fails here is told last, after what is known without a server.
    let server = if args.client { Ok(None) } else { server(&mut session).await.map(Some) };
    let mut failure = None;
    let server = server.unwrap_or_else(|why| {
        failure = Some(why);
        None
    });
    let versions = Versions { client_version: env!("CARGO_PKG_VERSION"), server };
    let out = session.stdout.buffer();
    match args.output {
        Some(format) => output::document(&versions, format == Format::Yaml, out)?,
        None => {
            push_line(out, &format!("Client Version: {}", versions.client_version));
            if let Some(server) = &versions.server {
                push_line(out, &format!("Server: {} ({})", server.endpoint, server.health));
            }
        }
    }
    session.stdout.flush(&mut session.interrupt).await?;
    failure.map_or(Ok(()), Err)
}

async fn server(session: &mut Session) -> Result<Server, Failure> {
    let client = session.connect().await?;
    let health = match session.interrupt.or(client.health("")).await? {
        // It serves, but what it needs for that may be away: its store.
        Ok(true) => match session.interrupt.or(client.health(SERVICE_NAME)).await? {
            Ok(true) => "serving",
            Ok(false) => "not ready",
            // Of another implementation, which tells of itself as a whole.
            Err(failure) if failure.is(Code::NotFound) => "serving",
            Err(failure) => return Err(failure),
        },
        Ok(false) => "not serving",
        Err(failure) if failure.is(Code::Unimplemented) => "health unknown",
        Err(failure) => return Err(failure),
    };
    Ok(Server { endpoint: client.address, health })
}
