//! How the files of TLS are shown and set.

use certs::{ClientAuth, TlsFiles};

pub(super) fn show_cert(files: &TlsFiles) -> String {
    files.cert.display().to_string()
}

pub(super) fn set_cert(files: &mut TlsFiles, value: &str) -> Result<(), String> {
    files.cert = value.into();
    Ok(())
}

pub(super) fn show_key(files: &TlsFiles) -> String {
    files.key.display().to_string()
}

pub(super) fn set_key(files: &mut TlsFiles, value: &str) -> Result<(), String> {
    files.key = value.into();
    Ok(())
}

pub(super) fn show_ca(files: &TlsFiles) -> String {
    files.client_ca.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
}

pub(super) fn set_ca(files: &mut TlsFiles, value: &str) -> Result<(), String> {
    files.client_ca = (!value.is_empty()).then(|| value.into());
    Ok(())
}

/// As the command line has it.
pub(super) const CLIENT_AUTH: [(ClientAuth, &str); 3] =
    [(ClientAuth::Off, "off"), (ClientAuth::Optional, "optional"), (ClientAuth::Required, "required")];
/// As Redis has it.
pub(super) const AUTH_CLIENTS: [(ClientAuth, &str); 3] =
    [(ClientAuth::Off, "no"), (ClientAuth::Optional, "optional"), (ClientAuth::Required, "yes")];

pub(super) fn show_word(words: &[(ClientAuth, &str)], files: &TlsFiles) -> String {
    let found = words.iter().find(|(auth, _)| *auth == files.client_auth);
    found.map_or("", |(_, word)| word).to_owned()
}

pub(super) fn set_word(
    words: &[(ClientAuth, &str)],
    files: &mut TlsFiles,
    value: &str,
) -> Result<(), String> {
    let found = words.iter().find(|(_, word)| word.eq_ignore_ascii_case(value));
    files.client_auth = found.map(|(auth, _)| *auth).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(_, word)| *word).collect();
        format!("argument(s) must be one of the following: {}", words.join(", "))
    })?;
    Ok(())
}
