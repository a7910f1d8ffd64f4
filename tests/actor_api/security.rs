//! TLS in both directions.

use super::*;
use testkit::temp_dir;
use testkit::tls::{Authority, Identity};
use tonic::transport::{Certificate, ClientTlsConfig, Identity as Shown};

fn tls(trusted: &Authority, shown: Option<&Identity>) -> ClientTlsConfig {
    let config =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trusted.cert())).domain_name("localhost");
    match shown {
        Some(identity) => config.identity(Shown::from_pem(&identity.cert, &identity.key)),
        None => config,
    }
}

#[test]
fn clients_show_who_they_are() {
    let (authority, others) = (Authority::new("tests").unwrap(), Authority::new("others").unwrap());
    let files = temp_dir().unwrap();
    let (cert, key) = authority.issue("server").unwrap().write(files.path(), "server").unwrap();
    let ca = files.path().join("ca.crt");
    std::fs::write(&ca, authority.cert()).unwrap();
    let [cert, key, ca] = [cert, key, ca].map(|path| path.to_str().unwrap().to_owned());
    let store = redis();
    let options = ["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &ca];
    let api = Api::over(&store.addr().to_string(), &options).unwrap();
    let (friend, stranger) = (authority.issue("friend").unwrap(), others.issue("stranger").unwrap());
    runtime().block_on(async {
        let mut client = api.tls_client(tls(&authority, Some(&friend))).unwrap();
        client.create_atespace(atespace("team")).await.unwrap();
        for refused in [
            // No certificate, one of another authority, a server that is not trusted.
            api.tls_client(tls(&authority, None)).unwrap(),
            api.tls_client(tls(&authority, Some(&stranger))).unwrap(),
            api.tls_client(tls(&others, Some(&friend))).unwrap(),
            // And no TLS at all.
            api.client().unwrap(),
        ] {
            let status = refused.clone().create_atespace(atespace("other")).await.unwrap_err();
            assert!(status.metadata().is_empty(), "the server has answered: {status:?}");
        }
        api.wait_for_metric("ateapi_handshakes_failed_total", |count| count >= 4).unwrap();
        is(client.create_atespace(atespace("team")).await, Code::AlreadyExists, "the atespace team");
        let calls = api.metric(r#"ateapi_calls_total{method="CreateAtespace",code="OK"}"#).unwrap();
        assert_eq!(calls, 1, "none of the refused calls came through");
    });
}
