//! The options about TLS, which belong together.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use console::{Listen, listen};
use server::config::{self, TlsFiles, TlsOptions};

#[derive(Args, Clone, Debug, Default)]
pub struct TlsArgs {
    /// Where clients connect that speak the Redis protocol through TLS, beside or instead of --listen;
    /// `off` for nowhere. The files are also those of the actor API (--ateapi) [default: off]
    #[arg(long, env = "BULKHEAD_TLS_LISTEN", value_name = "ADDR", value_parser = listen)]
    pub tls_listen: Option<Listen>,

    /// The server's certificate in PEM, with those between it and its authority.
    #[arg(long, env = "BULKHEAD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key in PEM, without a passphrase.
    #[arg(long, env = "BULKHEAD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// The authorities in PEM whose certificates clients show.
    #[arg(long, env = "BULKHEAD_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Whether clients have to show a certificate [default: required with --tls-client-ca, otherwise off]
    #[arg(long, env = "BULKHEAD_TLS_CLIENT_AUTH", value_name = "WHEN")]
    pub tls_client_auth: Option<ClientAuth>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// They are not asked for one.
    Off,
    /// They need not, but one that is shown has to be right.
    Optional,
    Required,
}

impl TlsArgs {
    /// A listener for the Redis protocol. Said in full and switched off with `--tls-listen off` is none, too.
    pub fn options(&self) -> Result<Option<TlsOptions>, String> {
        let listen = self.tls_listen.and_then(|listen| listen.0);
        match (self.files()?, listen) {
            (Some(files), Some(listen)) => Ok(Some(TlsOptions::new(listen, files))),
            (None, Some(_)) => Err("--tls-listen needs --tls-cert and --tls-key".into()),
            (_, None) => Ok(None),
        }
    }

    /// The files, whoever speaks TLS with them.
    pub fn files(&self) -> Result<Option<TlsFiles>, String> {
        if self.tls_listen.is_none() {
            return self.nothing_said();
        }
        let client_auth = match (self.tls_client_auth, &self.tls_client_ca) {
            (None, None) | (Some(ClientAuth::Off), _) => config::ClientAuth::Off,
            (Some(_), None) => {
                return Err("--tls-client-auth needs --tls-client-ca: whose certificates?".into());
            }
            (Some(ClientAuth::Optional), Some(_)) => config::ClientAuth::Optional,
            (None | Some(ClientAuth::Required), Some(_)) => config::ClientAuth::Required,
        };
        let (cert, key) = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err("--tls-key is said, but not --tls-cert".into()),
            (Some(_), None) => return Err("--tls-cert is said, but not --tls-key".into()),
        };
        Ok(Some(TlsFiles { cert, key, client_ca: self.tls_client_ca.clone(), client_auth }))
    }

    fn nothing_said(&self) -> Result<Option<TlsFiles>, String> {
        let said = [
            ("--tls-cert", self.tls_cert.is_some()),
            ("--tls-key", self.tls_key.is_some()),
            ("--tls-client-ca", self.tls_client_ca.is_some()),
            ("--tls-client-auth", self.tls_client_auth.is_some()),
        ];
        match said.iter().find(|(_, is_said)| *is_said) {
            Some((name, _)) => Err(format!("{name} is said, but not --tls-listen (which may be off)")),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<TlsArgs, String> {
        let words = "bulkhead serve".split(' ').chain(line.split_whitespace()).map(Into::into);
        Ok(crate::cli::parse(words).map_err(|error| error.to_string())?.tls)
    }

    fn options(line: &str) -> Result<Option<TlsOptions>, String> {
        parse(line)?.options()
    }

    #[track_caller]
    fn refused(line: &str, expected: &str) {
        let why = options(line).map(|_| ()).unwrap_err();
        assert!(why.contains(expected), "{line}: {why}");
    }

    #[test]
    fn options_about_tls_belong_together() {
        refused("--tls-listen 127.0.0.1:0", "needs --tls-cert and --tls-key");
        refused("--tls-listen 127.0.0.1:0 --tls-cert c", "--tls-cert is said, but not --tls-key");
        refused("--tls-listen 127.0.0.1:0 --tls-key k", "--tls-key is said, but not --tls-cert");
        refused("--tls-cert c --tls-key k", "--tls-cert is said, but not --tls-listen");
        refused("--tls-client-auth off", "--tls-client-auth is said, but not --tls-listen");
        refused(
            "--tls-listen 127.0.0.1:0 --tls-cert c --tls-key k --tls-client-auth optional",
            "needs --tls-client-ca",
        );
        refused("--tls-listen nowhere", "wanted: HOST:PORT");
        refused("--tls-client-auth maybe", "required");
    }

    #[test]
    fn clients_must_show_a_certificate_if_an_authority_is_named() {
        let full = "--tls-listen 127.0.0.1:0 --tls-cert c --tls-key k";
        for (more, expected) in [
            ("", config::ClientAuth::Off),
            ("--tls-client-auth off", config::ClientAuth::Off),
            ("--tls-client-ca a", config::ClientAuth::Required),
            ("--tls-client-ca a --tls-client-auth required", config::ClientAuth::Required),
            ("--tls-client-ca a --tls-client-auth optional", config::ClientAuth::Optional),
            ("--tls-client-ca a --tls-client-auth off", config::ClientAuth::Off),
        ] {
            let options = options(&format!("{full} {more}")).unwrap().unwrap();
            assert_eq!(options.files.client_auth, expected, "{more}");
        }
    }

    #[test]
    fn the_files_may_be_for_the_actor_api_alone() {
        let files =
            parse("--tls-listen off --tls-cert c --tls-key k --tls-client-ca a").unwrap().files().unwrap();
        assert_eq!(files.unwrap().client_auth, config::ClientAuth::Required);
        assert_eq!(parse("--tls-listen off").unwrap().files(), Ok(None));
        assert_eq!(parse("").unwrap().files(), Ok(None));
    }

    #[test]
    fn it_is_off_unless_it_is_switched_on() {
        assert!(options("").unwrap().is_none());
        assert!(options("--tls-listen off --tls-cert c --tls-key k").unwrap().is_none());
    }
}
