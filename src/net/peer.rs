//! What a client's side of TLS is known by, in the words of OpenSSL, which are those of accounts: its cipher, and whose certificate it
//! has shown.

use std::fmt::Write;

use rustls::ServerConnection;
use rustls::pki_types::CertificateDer;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

/// One client.
#[derive(Debug, PartialEq, Eq)]
pub struct Peer {
    /// The cipher in use.
    pub cipher: Box<str>,
    /// The certificate that somebody vouches for whom the listener believes; none if none was shown.
    pub certificate: Option<Names>,
}

/// Whom a certificate names, in one line each, such as `/C=FI/CN=client`.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// Whose it is.
    pub subject: Box<str>,
    /// Who vouches for that.
    pub issuer: Box<str>,
}

impl Peer {
    /// The other side of a connection whose handshake is done.
    pub(super) fn of(connection: &ServerConnection) -> Self {
        let suite = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        Self { cipher: cipher(suite.unwrap_or_default()).into(), certificate: certificate.and_then(Names::read) }
    }
}

impl Names {
    fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, read) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
        Some(Self { subject: line(read.subject()).into(), issuer: line(read.issuer()).into() })
    }
}

/// `X509_NAME_oneline` of OpenSSL.
fn line(name: &X509Name<'_>) -> String {
    let mut line = String::new();
    for attribute in name.iter_attributes() {
        let kind = oid2abbrev(attribute.attr_type(), oid_registry());
        let kind = match kind.map_or_else(|_| attribute.attr_type().to_id_string(), str::to_owned) {
            kind if kind == "Email" => "emailAddress".to_owned(),
            kind if kind == "givenName" => "GN".to_owned(),
            kind if kind == "surname" => "SN".to_owned(),
            kind => kind,
        };
        // Writing to a string can't fail.
        let _ = write!(line, "/{kind}=");
        for byte in attribute.as_slice() {
            let _ = match byte {
                b' '..=b'~' => write!(line, "{}", char::from(*byte)),
                _ => write!(line, "\\x{byte:02X}"),
            };
        }
    }
    line
}

/// OpenSSL's name of a cipher suite.
fn cipher(suite: &str) -> String {
    if let Some(rest) = suite.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let name = suite.trim_start_matches("TLS_").replace("_WITH_", "_").replace('_', "-");
    name.replace("AES-", "AES").replace("POLY1305-SHA256", "POLY1305")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_have_the_names_of_openssl() {
        for (suite, name) in [
            ("TLS13_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
            ("TLS13_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ] {
            assert_eq!(cipher(suite), name);
        }
    }

    #[test]
    fn names_are_one_line() {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CountryName, "FI");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Öl & Co");
        params.distinguished_name.push(rcgen::DnType::CommonName, "client");
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let names = Names::read(made.der()).unwrap();
        assert_eq!(&*names.subject, "/C=FI/O=\\xC3\\x96l & Co/CN=client");
        assert_eq!(names.issuer, names.subject);
        assert!(Names::read(&CertificateDer::from(vec![0x30, 0x80, 1])).is_none());
    }
}
