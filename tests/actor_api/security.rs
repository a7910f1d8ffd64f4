//! TLS in both directions.

use super::*;
use std::time::Duration;
use testkit::tls::{Authority, Identity};
use testkit::{temp_dir, tools, wait};
use tonic::transport::{Certificate, ClientTlsConfig, Identity as Shown};

/// New files are looked for every two seconds.
const PATIENCE: Duration = Duration::from_secs(30);

fn tls(trusted: &Authority, shown: Option<&Identity>) -> ClientTlsConfig {
    let config =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(trusted.cert())).domain_name("localhost");
    match shown {
        Some(identity) => config.identity(Shown::from_pem(&identity.cert, &identity.key)),
        None => config,
    }
}

#[test]
fn files_that_have_changed_are_used_for_who_connects_then() {
    let (first, second) = (Authority::new("first").unwrap(), Authority::new("second").unwrap());
    let files = temp_dir().unwrap();
    let put =
        |authority: &Authority| authority.issue("server").unwrap().write(files.path(), "server").unwrap();
    let (cert, key) = put(&first);
    let [cert, key] = [cert, key].map(|path| path.to_str().unwrap().to_owned());
    let store = redis();
    let api = Api::over(&store.addr().to_string(), &["--tls-cert", &cert, "--tls-key", &key]).unwrap();
    let runtime = runtime();
    let exists =
        |client: &mut Control, name: &str| runtime.block_on(client.create_atespace(atespace(name))).is_ok();
    let connect =
        |authority: &Authority| runtime.block_on(async { api.tls_client(tls(authority, None)).unwrap() });
    let mut early = connect(&first);
    assert!(exists(&mut early, "early"));
    // What is not right changes nothing.
    std::fs::write(&cert, "no certificate").unwrap();
    assert!(exists(&mut connect(&first), "still"));
    put(&second);
    let connects = |number: u32| exists(&mut connect(&second), &format!("later-{number}"));
    let mut number = 0;
    wait::until("the new certificate to be shown", PATIENCE, || {
        number += 1;
        connects(number).then_some(())
    })
    .unwrap();
    assert!(!exists(&mut connect(&first), "too-late"), "the old one is not shown any more");
    assert!(exists(&mut early, "early-too"), "who was there before stays");
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

#[test]
fn a_store_whose_certificate_the_machine_trusts_needs_no_file() {
    let (authority, others) = (Authority::new("tests").unwrap(), Authority::new("others").unwrap());
    let files = temp_dir().unwrap();
    let (cert, key) = authority.issue("server").unwrap().write(files.path(), "server").unwrap();
    let spec = Spec::bulkhead().unwrap().arg("--tls-listen").arg("127.0.0.1:0");
    let spec = spec.arg(format!("--tls-cert={}", cert.display())).arg(format!("--tls-key={}", key.display()));
    let server = spec.start().unwrap();
    let reply = server.client().unwrap().want("CONFIG GET tls-port").unwrap();
    let store =
        format!("rediss://127.0.0.1:{}", String::from_utf8_lossy(reply.items().unwrap()[1].bytes().unwrap()));
    let launch = |trusted: &str| {
        let path = files.path().join("trusted.crt");
        std::fs::write(&path, trusted).unwrap();
        let path = path.to_str().unwrap();
        let variables = [("SSL_CERT_FILE", path), ("SSL_CERT_DIR", "/nowhere")];
        Api::launch(&tools::built("ateapi").unwrap(), &store, &["--max-deadline", "3s"], &variables)
    };
    let runtime = runtime();
    let create = |api: &Api| {
        runtime.block_on(async { api.client().unwrap().create_atespace(atespace("team")).await.map(drop) })
    };
    create(&launch(&authority.cert()).unwrap()).unwrap();
    let refused = create(&launch(&others.cert()).unwrap()).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(launch("").is_err(), "nobody is trusted");
}
