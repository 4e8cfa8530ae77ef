//! Certificates of a lab: who vouches for others, and for whom.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

/// Who vouches for others.
pub struct Authority(Issuer<'static, KeyPair>);

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    /// Its certificate is in `NAME.pem`.
    pub fn new(folder: &Path, name: &str) -> Self {
        let (mut params, key) = (params(name), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        Self(Issuer::new(params, key))
    }

    /// A certificate in `NAME.pem`, for all that the lab may be, and its key in `NAME.key`.
    pub fn vouch(&self, folder: &Path, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        let hosts = (0..=255).flat_map(|network| [70, 80, 81].map(|host| format!("127.71.{network}.{host}")));
        params.subject_alt_names = hosts.map(|host| rcgen::SanType::IpAddress(host.parse().unwrap())).collect();
        fs::write(folder.join(format!("{name}.pem")), params.signed_by(&key, &self.0).unwrap().pem()).unwrap();
        let file = folder.join(format!("{name}.key"));
        fs::write(&file, key.serialize_pem()).unwrap();
        // A server's own user reads its key.
        let mode = if name == "node" { 0o644 } else { 0o600 };
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    }
}
