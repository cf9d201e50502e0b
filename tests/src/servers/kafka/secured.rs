//! The broker with two more doors, where somebody asks who is there: a password, and a certificate.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{Door, Kafka};
use crate::servers::{ports::free_port, process::ServerProcess};

const STORE_PASSWORD: &str = "of-the-keystore";

/// A broker with SASL (PLAIN, over plain text) at one port and TLS at another, besides the open one that [`Kafka`] has.
pub struct SecuredKafka {
    /// The open one.
    pub kafka: Kafka,
    sasl: String,
    tls: String,
    certificate: PathBuf,
}

impl SecuredKafka {
    /// Who may come in by SASL.
    pub const USER: &str = "meters";
    /// With which password.
    pub const PASSWORD: &str = "of-the-meters";

    /// Starts one, with a certificate of its own making.
    pub fn start() -> Result<Self> {
        let dir = ServerProcess::directory("kafka")?;
        let store = dir.path().join("broker.p12");
        let certificate = dir.path().join("broker.pem");
        let alias = ["-alias", "broker", "-storetype", "PKCS12", "-storepass", STORE_PASSWORD];
        let make = ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1"];
        keytool(&store, make.iter().chain(&alias))?;
        let path = certificate.display().to_string();
        keytool(&store, ["-exportcert", "-rfc", "-file", &path].iter().chain(&alias))?;

        let sasl = Door { name: "SASL", protocol: "SASL_PLAINTEXT", port: free_port()? };
        let tls = Door { name: "TLS", protocol: "SSL", port: free_port()? };
        let properties = format!(
            "listener.name.sasl.sasl.enabled.mechanisms=PLAIN\n\
             listener.name.sasl.plain.sasl.jaas.config=\
             org.apache.kafka.common.security.plain.PlainLoginModule required user_{}=\"{}\";\n\
             listener.name.tls.ssl.keystore.type=PKCS12\n\
             listener.name.tls.ssl.keystore.location={}\n\
             listener.name.tls.ssl.keystore.password={STORE_PASSWORD}\n",
            Self::USER,
            Self::PASSWORD,
            store.display()
        );
        let at = |door: &Door| format!("127.0.0.1:{}", door.port);
        let (sasl_at, tls_at) = (at(&sasl), at(&tls));
        let kafka = Kafka::start_in(dir, &[sasl, tls], &properties)?;
        Ok(SecuredKafka { kafka, sasl: sasl_at, tls: tls_at, certificate })
    }

    /// `127.0.0.1:PORT`, where a password is asked for.
    pub fn sasl(&self) -> &str {
        &self.sasl
    }

    /// `127.0.0.1:PORT`, where TLS is spoken.
    pub fn tls(&self) -> &str {
        &self.tls
    }

    /// Whom a client has to trust, as PEM.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }
}

fn keytool<'a>(store: &Path, args: impl Iterator<Item = &'a &'a str>) -> Result<()> {
    let mut command = Command::new("keytool");
    command.args(args).arg("-keystore").arg(store);
    let output = command.stdin(Stdio::null()).output().context("keytool, which comes with Java, cannot be run")?;
    if !output.status.success() {
        bail!("keytool: {}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}
