//! Wire shapes: device certificates and CA certificates.

use serde_json::{Value, json};

use super::call::{Call, Page, page_reply, seconds};
use super::certificates::{CaCertificate, Certificate};
use super::error::IotError;
use super::fleet::Fleet;

type Reply = Result<Value, IotError>;

/// Text in the form of a PEM file, derived from the id. The sandbox has no real certificates: nothing can be verified
/// against it.
fn pem(label: &str, id: &str) -> String {
    let lines: Vec<String> = (0..4).map(|turn| format!("{}{}", &id[turn * 8..], &id[..turn * 8])).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

pub(super) fn create_keys_and_certificate(fleet: &mut Fleet, call: &Call) -> Reply {
    let id = fleet.create_certificate(call.query_flag("setAsActive"));
    Ok(json!({
        "certificateArn": fleet.arn("cert", &id),
        "certificateId": id,
        "certificatePem": pem("CERTIFICATE", &id),
        "keyPair": { "PublicKey": pem("PUBLIC KEY", &id), "PrivateKey": pem("RSA PRIVATE KEY", &id) },
    }))
}

pub(super) fn describe_certificate(fleet: &mut Fleet, call: &Call) -> Reply {
    let id = call.label("certificateId")?;
    let certificate = fleet.certificate(id)?;
    let mut description = json!({
        "certificateArn": fleet.arn("cert", id),
        "certificateId": id,
        "status": certificate.status.as_str(),
        "certificatePem": pem("CERTIFICATE", id),
        "ownedBy": fleet.account,
        "creationDate": seconds(certificate.created_ms),
        "lastModifiedDate": seconds(certificate.modified_ms),
        "customerVersion": certificate.customer_version,
        "generationId": format!("{}-{}", &id[..8], certificate.customer_version),
        "validity": { "notBefore": seconds(certificate.not_before_ms), "notAfter": seconds(certificate.not_after_ms) },
        "certificateMode": "DEFAULT",
    });
    if let Some(ca) = &certificate.ca_certificate_id {
        description["caCertificateId"] = json!(ca);
    }
    Ok(json!({ "certificateDescription": description }))
}

pub(super) fn update_certificate(fleet: &mut Fleet, call: &Call) -> Reply {
    let status = call.query("newStatus").ok_or_else(|| IotError::invalid("newStatus is required"))?;
    fleet.update_certificate(call.label("certificateId")?, status)?;
    Ok(json!({}))
}

pub(super) fn delete_certificate(fleet: &mut Fleet, call: &Call) -> Reply {
    fleet.delete_certificate(call.label("certificateId")?, call.query_flag("forceDelete"))?;
    Ok(json!({}))
}

fn certificate_page(fleet: &Fleet, page: &Page, wanted: impl FnMut(&Certificate) -> bool) -> Value {
    let show = |id: &String, certificate: &Certificate| {
        json!({
            "certificateArn": fleet.arn("cert", id),
            "certificateId": id,
            "status": certificate.status.as_str(),
            "certificateMode": "DEFAULT",
            "creationDate": seconds(certificate.created_ms),
        })
    };
    page_reply("certificates", page.of_map(&fleet.certificates, wanted, show), "nextMarker")
}

pub(super) fn list_certificates(fleet: &mut Fleet, call: &Call) -> Reply {
    Ok(certificate_page(fleet, &call.marker_page()?, |_| true))
}

pub(super) fn list_certificates_by_ca(fleet: &mut Fleet, call: &Call) -> Reply {
    let ca = call.label("caCertificateId")?;
    fleet.ca_certificate(ca)?;
    Ok(certificate_page(fleet, &call.marker_page()?, |one| one.ca_certificate_id.as_deref() == Some(ca)))
}

fn ca_status(ca: &CaCertificate) -> &'static str {
    if ca.active { "ACTIVE" } else { "INACTIVE" }
}

pub(super) fn describe_ca_certificate(fleet: &mut Fleet, call: &Call) -> Reply {
    let id = call.label("caCertificateId")?;
    let ca = fleet.ca_certificate(id)?;
    Ok(json!({ "certificateDescription": {
        "certificateArn": fleet.arn("cacert", id),
        "certificateId": id,
        "status": ca_status(ca),
        "certificatePem": pem("CERTIFICATE", id),
        "ownedBy": fleet.account,
        "creationDate": seconds(ca.created_ms),
        "autoRegistrationStatus": if ca.auto_registration { "ENABLE" } else { "DISABLE" },
        "lastModifiedDate": seconds(ca.modified_ms),
        "customerVersion": ca.customer_version,
        "generationId": format!("{}-{}", &id[..8], ca.customer_version),
        "validity": { "notBefore": seconds(ca.not_before_ms), "notAfter": seconds(ca.not_after_ms) },
        "certificateMode": "DEFAULT",
    }}))
}

pub(super) fn update_ca_certificate(fleet: &mut Fleet, call: &Call) -> Reply {
    let id = call.label("caCertificateId")?;
    fleet.update_ca_certificate(id, call.query("newStatus"), call.query("newAutoRegistrationStatus"))?;
    Ok(json!({}))
}

pub(super) fn list_ca_certificates(fleet: &mut Fleet, call: &Call) -> Reply {
    let show = |id: &String, ca: &CaCertificate| {
        json!({
            "certificateArn": fleet.arn("cacert", id),
            "certificateId": id,
            "status": ca_status(ca),
            "creationDate": seconds(ca.created_ms),
        })
    };
    Ok(page_reply("certificates", call.marker_page()?.of_map(&fleet.ca_certificates, |_| true, show), "nextMarker"))
}
