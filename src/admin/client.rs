//! How an admin address is asked: by HTTP, within TLS where it is known who vouches for its certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::net::tls::certificates;

/// A way to ask.
#[derive(Clone, Debug, Default)]
pub struct Client {
    roots: Option<RootCerts>,
}

impl Client {
    /// Within TLS, with whoever shows a certificate that these of a PEM file vouch for; without a file there is none.
    pub fn trusting(ca: Option<&Path>) -> Result<Self, String> {
        let read = |ca| -> Result<RootCerts, String> {
            let roots = certificates(ca)?;
            Ok(roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect::<Vec<_>>().into())
        };
        Ok(Self { roots: ca.map(read).transpose()? })
    }

    /// Does it speak TLS?
    pub fn is_secure(&self) -> bool {
        self.roots.is_some()
    }

    /// What has this path there.
    pub fn url(&self, admin: SocketAddr, path: &str) -> String {
        let scheme = if self.is_secure() { "https" } else { "http" };
        format!("{scheme}://{admin}/v1/{path}")
    }

    /// Asks, for so long at most. An answer that says no is an answer.
    pub fn agent(&self, limit: Duration) -> ureq::Agent {
        let config = ureq::Agent::config_builder().timeout_global(Some(limit)).http_status_as_error(false).proxy(None);
        let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()));
        let tls = tls.root_certs(self.roots.clone().unwrap_or(RootCerts::WebPki));
        config.tls_config(tls.build()).build().into()
    }
}
