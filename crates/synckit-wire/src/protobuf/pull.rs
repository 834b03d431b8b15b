//! Pull and subscribe: what is asked for.

use prost::Message;
use synckit_core::{Error, PullRequest, Result, Scope};

use super::parts::{caller, caller_form, check_plain, cursor, request, text};
use super::{FromProtobuf, ToProtobuf, count, filter, generated as form, parse, size};
use crate::checks::Side;
use crate::limits::WireLimits;

impl ToProtobuf for PullRequest {
    fn to_protobuf(&self) -> Vec<u8> {
        let scope = match self.scope {
            Scope::Others => form::Scope::Others,
            Scope::Everything => form::Scope::Everything,
        };
        form::PullRequest {
            caller: caller_form(&self.caller),
            cursor: text(self.cursor.as_ref()),
            limit: self.limit.map(count),
            filter: filter::write(&self.filter),
            scope: scope.into(),
        }
        .encode_to_vec()
    }
}

impl FromProtobuf for PullRequest {
    fn from_protobuf(bytes: &[u8], limits: &WireLimits) -> Result<Self> {
        check_plain(bytes, limits)?;
        filter::check(bytes)?;
        let form: form::PullRequest = parse(bytes, Side::Request)?;
        request(|| {
            let scope = match form::Scope::try_from(form.scope) {
                Ok(form::Scope::Others) => Scope::Others,
                Ok(form::Scope::Everything) => Scope::Everything,
                Err(_) => return Err(Error::invalid("its scope is none that is known here")),
            };
            Ok(PullRequest {
                caller: caller(form.caller)?,
                cursor: cursor(form.cursor)?,
                limit: form.limit.map(size),
                filter: filter::read(form.filter)?,
                scope,
            })
        })
    }
}
