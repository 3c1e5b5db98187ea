//! `prov login`, `prov logout`, `prov whoami`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::code::{self, CodeArgs};
use super::complete;
use super::connect::{self, answer, ask, block_on, failure};
use super::error::{CliError, Kind};
use super::secret::{self, PasswordArgs};
use super::{Global, Printer, recognise};
use crate::api::auth::{LoginRequest, Verified};
use crate::api::envelope::Code;
use crate::client::session::{Place, Session, Sessions};
use crate::client::{Client, ClientError, Servers, Trust, Untrusted, address};
use crate::model::digest::Fingerprint;
use crate::model::name::Name;

/// Log in, and remember the session
#[derive(Debug, clap::Args)]
pub struct LoginArgs {
    /// The orchestrator's address [env: PROV_SERVER]
    #[arg(long, value_name = "URL", value_parser = address)]
    server: Option<String>,
    /// The control center's address, to which the password is sent [env: PROV_CONTROL_CENTER]
    #[arg(long, value_name = "URL", value_parser = address)]
    control_center: Option<String>,
    /// What this daemon and user are called from now on, and use them [default: the current context]
    #[arg(long, value_name = "NAME", add = complete::contexts())]
    context: Option<Name>,
    /// Trust the daemon's certificate with this fingerprint, which `prov serve` prints
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<Fingerprint>,
    /// Trust these authorities as well, in PEM [env: PROV_CA_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
    /// Your own certificate, in PEM, where the daemon asks for one [env: PROV_CLIENT_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    client_certificate: Option<PathBuf>,
    /// Its private key [default: in the file of the certificate] [env: PROV_CLIENT_KEY]
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// Who logs in
    #[arg(long, short, value_name = "NAME", default_value = "admin")]
    username: String,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    code: CodeArgs,
}

/// End the session
#[derive(Debug, clap::Args)]
pub struct LogoutArgs {
    /// End all sessions of this user
    #[arg(long)]
    all: bool,
}

pub(super) fn login(args: &LoginArgs, global: &Global) -> Result<ExitCode, CliError> {
    let (sessions, printer) = (connect::sessions()?, Printer::new(global));
    let sessions = args.context.clone().map_or_else(|| sessions.clone(), |context| sessions.of(context));
    let servers = servers(args, &sessions)?;
    let (given, mfa_code) = code::with_password(&args.password, &args.code, global)?;
    // Before anybody types a password: an address that is wrong is told first.
    let (client, servers) = block_on(recognised(servers, &printer, global))?;
    let password = given.map_or_else(|| secret::typed(&format!("password of {} (not shown): ", args.username)), Ok)?;
    let mut request = LoginRequest { username: args.username.clone(), password, mfa_code };
    let log_in = |request: &LoginRequest| block_on(answer(&printer, client.auth_login(request)));
    let mut answered = log_in(&request)?;
    if needs_code(&answered) && code::can_ask(global) {
        request.mfa_code = Some(code::typed("code of your authenticator app, or a backup code: ")?);
        answered = log_in(&request)?;
    }
    let pair = answered.map_err(|error| refused(&error, &request))?;
    let place = sessions.keep(&Session::of(&pair, servers));
    let place = place.map_err(|error| {
        let path = sessions.path().display().to_string();
        CliError::new(Kind::Failure, format!("logged in, but can't keep the session in {path}: {error}"))
    })?;
    if args.context.is_some() {
        let failed = |error| CliError::new(Kind::Failure, format!("logged in, but can't use the context: {error}"));
        sessions.make_current().map_err(failed)?;
    }
    let kept = match place {
        Place::Keyring => "the session is in the kernel's keyring".to_owned(),
        Place::File => format!("there is no keyring here; the session is in {}", sessions.path().display()),
    };
    printer.remark(&format!("logged in as {}; {kept}", pair.user.username));
    Ok(ExitCode::SUCCESS)
}

/// Both addresses of one daemon. One alone must not be paired with the other of another daemon: the password goes to
/// the one, the token to the other.
fn servers(args: &LoginArgs, sessions: &Sessions) -> Result<Servers, CliError> {
    let given = |flag: &Option<String>, variable| match flag {
        Some(address) => Ok(Some(address.clone())),
        None => connect::given_address(variable),
    };
    let orchestrator = given(&args.server, connect::SERVER)?;
    let control_center = given(&args.control_center, connect::CONTROL_CENTER)?;
    let default = Servers::default();
    let (orchestrator, control_center) = match (orchestrator, control_center) {
        (Some(given), None) if given == default.orchestrator => (Some(given), Some(default.control_center)),
        (None, Some(given)) if given == default.control_center => (Some(default.orchestrator), Some(given)),
        (Some(given), None) => {
            return Err(one_address("orchestrator", &given, "control center", "--control-center URL"));
        }
        (None, Some(given)) => return Err(one_address("control center", &given, "orchestrator", "--server URL")),
        both_or_none => both_or_none,
    };
    // A damaged file is about to be replaced.
    let servers = sessions.servers().ok().flatten().unwrap_or_default().at(orchestrator, control_center);
    let mut kept = servers.trust;
    if args.ca_certificate.is_some() {
        // Whoever names an authority wants it to vouch.
        kept.fingerprint = None;
    }
    let trust = trust(args).or(connect::given_trust()?).or(kept);
    Ok(Servers { trust, ..servers })
}

/// What the command line says of certificates.
fn trust(args: &LoginArgs) -> Trust {
    let file = |path: &Option<PathBuf>| path.as_deref().map(connect::absolute);
    Trust {
        fingerprint: args.fingerprint,
        ca_certificate: file(&args.ca_certificate),
        client_certificate: file(&args.client_certificate),
        client_key: file(&args.client_key),
    }
}

/// A client of a daemon that answers and whose certificate, where it has one, is trusted: if nobody vouches for it and
/// none was trusted before, once somebody has recognised it.
async fn recognised(mut servers: Servers, printer: &Printer, global: &Global) -> Result<(Client, Servers), CliError> {
    let client = |servers: &Servers| Client::new(servers.clone()).map_err(|error| failure(&error));
    let first = client(&servers)?;
    match answer(printer, first.health()).await? {
        Err(ClientError::Untrusted { url, certificate: certificate @ Untrusted::Unknown { .. } }) => {
            recognise::recognise(&url, &certificate, global)?;
            servers.trust.fingerprint = Some(certificate.shown());
            let again = client(&servers)?;
            ask(printer, again.health()).await?;
            Ok((again, servers))
        }
        Err(error) => Err(failure(&error)),
        Ok(_) => Ok((first, servers)),
    }
}

fn one_address(known: &str, given: &str, missing: &str, flag: &str) -> CliError {
    let message =
        format!("the {known} is {given}, but where is its {missing}? No password is sent to another daemon's");
    CliError::new(Kind::Usage, message).hint(format!("add {flag}"))
}

/// Whether the password was right, and a code is lacking.
fn needs_code<T>(answered: &Result<T, ClientError>) -> bool {
    matches!(answered, Err(ClientError::Answered(failure)) if failure.code == Code::MfaRequired)
}

/// A refused login. That one isn't logged in is what `prov login` is for.
fn refused(error: &ClientError, request: &LoginRequest) -> CliError {
    let mut told = failure(error);
    if told.kind == Kind::Unauthenticated {
        let hint = match error {
            ClientError::Answered(failure) if failure.code == Code::MfaRequired => code::HOW_TO_GIVE,
            _ if request.mfa_code.is_some() => {
                "the next code comes within half a minute; a backup code is good as well"
            }
            _ => "the first start of a daemon writes the password of admin to DATA_DIR/admin-password",
        };
        told.hints = vec![hint.to_owned()];
    }
    told
}

pub(super) fn logout(args: &LogoutArgs, global: &Global) -> Result<ExitCode, CliError> {
    let (sessions, printer) = (connect::sessions()?, Printer::new(global));
    let forget = || {
        let path = sessions.path().display().to_string();
        let failed = |error| CliError::new(Kind::Failure, format!("can't forget the session in {path}: {error}"));
        sessions.forget().map_err(failed)
    };
    let session = match sessions.load() {
        Ok(Some(session)) => session,
        Ok(None) => {
            printer.remark("there is no session");
            return forget().map(|()| ExitCode::SUCCESS);
        }
        Err(error) => {
            printer.remark(&format!("forgot the session, which could not be used: {error}"));
            return forget().map(|()| ExitCode::SUCCESS);
        }
    };
    let ended = match Client::new(session.servers.clone()) {
        Ok(client) => {
            let client = client.with_session(session, sessions.clone());
            block_on(ask(&printer, client.auth_logout(args.all)))
        }
        // Also with a file of certificates that is gone.
        Err(error) => Err(failure(&error)),
    };
    forget()?;
    match ended {
        Ok(_) => printer.remark("logged out"),
        Err(error) => printer.remark(&format!("forgot the session; the daemon could not be told: {}", error.message)),
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn whoami(global: &Global) -> Result<ExitCode, CliError> {
    let (client, printer) = (connect::client()?, Printer::new(global));
    let verified = block_on(ask(&printer, client.auth_verify()))?;
    printer.item(&verified, &verified.user.username, render)?;
    Ok(ExitCode::SUCCESS)
}

fn render(verified: &Verified) -> String {
    let roles: Vec<String> = verified.user.roles.iter().map(ToString::to_string).collect();
    let factor = if verified.mfa { "given" } else { "not given" };
    let (name, roles, until) = (&verified.user.username, roles.join(", "), verified.expires_at);
    format!("{name}\nroles: {roles}\nsecond factor: {factor}\ntoken good until: {until}\n")
}
