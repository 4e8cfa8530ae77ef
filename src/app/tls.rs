//! TLS, of the files that the configuration names; what is wrong with them in words.

use crate::config::{Config, model};
use crate::net::tls::{ClientTls, ServerTls};
use crate::session::entrance::ListenerTls;

/// Reads all of them.
pub fn check(config: &Config) -> Result<(), String> {
    listeners(config)?;
    nodes(config)?;
    links(config)?;
    admin(config)?;
    Ok(())
}

/// With clients, by listener.
pub(super) fn listeners(config: &Config) -> Result<Box<[Option<ListenerTls>]>, String> {
    let load = |listener: &model::Listener| {
        let Some(tls) = listener.tls.as_ref().filter(|_| !listener.leaves) else { return Ok(None) };
        let server = ServerTls::load(&tls.certificate, &tls.key, tls.client_ca.as_deref())
            .map_err(|why| format!("TLS of listener '{}': {why}", listener.name))?;
        Ok(Some(ListenerTls { server, required: tls.require }))
    };
    config.listeners.iter().map(load).collect()
}

/// With nodes.
pub(super) fn nodes(config: &Config) -> Result<Option<ClientTls>, String> {
    config.cluster.tls.as_ref().map(client).transpose().map_err(|why| format!("TLS with nodes: {why}"))
}

/// The links that speak TLS. Whoever connects reads the files itself: here they are only looked at.
pub(super) fn links(config: &Config) -> Result<Vec<&str>, String> {
    let speakers = config.links.iter().filter_map(|link| Some((&*link.name, link.tls.as_ref()?)));
    let check = |(name, tls): (_, &model::LinkTls)| match client(&tls.own) {
        Ok(_) => Ok(name),
        Err(why) => Err(format!("TLS of link '{name}': {why}")),
    };
    speakers.map(check).collect()
}

/// With operators.
pub(super) fn admin(config: &Config) -> Result<Option<ServerTls>, String> {
    let load = |tls: &model::AdminTls| ServerTls::load(&tls.certificate, &tls.key, None);
    config.admin.tls.as_ref().map(load).transpose().map_err(|why| format!("TLS of the admin address: {why}"))
}

fn client(tls: &model::ClientTls) -> Result<ClientTls, String> {
    let shown = tls.shown.as_ref().map(|(certificate, key)| (&**certificate, &**key));
    ClientTls::load(tls.ca.as_deref(), shown)
}
