//! Where spans go: a collector that speaks OTLP over gRPC. What the command line leaves open is said by the variables that
//! OpenTelemetry has for it.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue, MetadataMap};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Error};

use super::spans::SEND_TIME_MAX;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// A collector, and what it is to be shown.
#[derive(Clone)]
pub struct Collector {
    endpoint: String,
    /// Sent with all spans: a key, for one.
    pub(super) headers: MetadataMap,
    /// The authorities in PEM that its certificate may be of; none for those of the machine.
    authorities: Option<Vec<u8>>,
}

/// Without the headers, which may have a key.
impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collector").field(&self.endpoint).finish()
    }
}

impl Collector {
    /// The one that an option names, or else a variable; none if neither does.
    pub fn find(
        option: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        // As OpenTelemetry has it, an empty variable is none.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let Some(endpoint) = option.map(str::to_owned).or_else(|| variable(ENDPOINT)) else {
            return Ok(None);
        };
        let is_known = ["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme));
        if !is_known || Endpoint::from_shared(endpoint.clone()).is_err() {
            let wanted = "wanted: http://HOST:PORT or https://HOST:PORT";
            return Err(format!("the collector's address is not understood: \"{endpoint}\"; {wanted}"));
        }
        let headers = headers(&variable(HEADERS).unwrap_or_default())?;
        let read =
            |path: String| std::fs::read(&path).map_err(|error| format!("{path} ({CERTIFICATE}): {error}"));
        let authorities = variable(CERTIFICATE).map(read).transpose()?;
        Ok(Some(Self { endpoint, headers, authorities }))
    }

    /// A connection that is opened when there is something to send.
    pub(super) fn channel(&self) -> Result<Channel, Error> {
        let mut endpoint = Endpoint::from_shared(self.endpoint.clone())?.connect_timeout(SEND_TIME_MAX);
        if self.endpoint.starts_with("https://") {
            let tls = ClientTlsConfig::new();
            endpoint = endpoint.tls_config(match &self.authorities {
                Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
                None => tls.with_native_roots(),
            })?;
        }
        Ok(endpoint.connect_lazy())
    }
}

/// `name=value,name=value`, with values that may be percent-encoded.
fn headers(text: &str) -> Result<MetadataMap, String> {
    let mut headers = MetadataMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        // What is wrong may be a key, and is not repeated.
        let wrong = || format!("{HEADERS}: wanted: name=value,name=value");
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| wrong())?;
        let name = AsciiMetadataKey::from_str(&name.trim().to_ascii_lowercase()).map_err(|_| wrong())?;
        headers.insert(name, AsciiMetadataValue::from_str(&value).map_err(|_| wrong())?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(option: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Collector>, String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Collector::find(option, |name| value(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_option_counts_before_the_variable() {
        let said = [(ENDPOINT, "http://b:4317")];
        for (option, variables, endpoint) in [
            (None, &[][..], None),
            (None, &[(ENDPOINT, "")], None),
            (None, &said, Some("http://b:4317")),
            (Some("https://a:4317"), &said, Some("https://a:4317")),
        ] {
            let found = find(option, variables).unwrap().map(|collector| collector.endpoint);
            assert_eq!(found.as_deref(), endpoint);
        }
    }

    #[test]
    fn headers_are_those_of_the_variable() {
        let variables = [(HEADERS, "Api-Key=a%20b%3D, x=y"), (ENDPOINT, "http://a:4317")];
        let collector = find(None, &variables).unwrap().unwrap();
        assert_eq!(collector.headers.get("api-key").unwrap(), "a b=");
        assert_eq!(collector.headers.get("x").unwrap(), "y");
        assert!(!format!("{collector:?}").contains("a b"), "a key is in no log");
    }

    #[test]
    fn mistakes_are_explained() {
        for (option, variables, expected) in [
            ("127.0.0.1:4317", &[][..], "wanted: http://HOST:PORT or https://HOST:PORT"),
            ("ftp://a", &[], "wanted: http://HOST:PORT"),
            ("http://", &[], "wanted: http://HOST:PORT"),
            ("http://a", &[(HEADERS, "secret")], "OTEL_EXPORTER_OTLP_HEADERS: wanted: name=value"),
            ("https://a", &[(CERTIFICATE, "/nowhere/ca.crt")], "/nowhere/ca.crt (OTEL_EXPORTER_OTLP_CERT"),
        ] {
            let why = find(Some(option), variables).unwrap_err();
            assert!(why.contains(expected) && !why.contains("secret"), "{why}");
        }
    }
}
