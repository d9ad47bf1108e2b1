//! From a payload to bytes.

use super::payload::{
    DataSet, MetaData, Metric, Parameter, Payload, Property, PropertySet, Raw, Template,
};
use super::wire::Writer;

impl Payload {
    /// The bytes of the payload.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.opt_u64(1, self.timestamp);
        for metric in &self.metrics {
            out.message(2, |out| write_metric(metric, out));
        }
        out.opt_u64(3, self.seq);
        out.opt_str(4, self.uuid.as_deref());
        if let Some(body) = &self.body {
            out.bytes(5, body);
        }
        out.0
    }
}

fn write_metric(metric: &Metric, out: &mut Writer) {
    out.opt_str(1, metric.name.as_deref());
    out.opt_u64(2, metric.alias);
    out.opt_u64(3, metric.timestamp);
    out.opt_u64(4, metric.datatype.map(u64::from));
    out.flag(5, metric.is_historical);
    out.flag(6, metric.is_transient);
    out.flag(7, metric.is_null);
    if let Some(data) = &metric.metadata {
        out.message(8, |out| write_metadata(data, out));
    }
    if let Some(set) = &metric.properties {
        out.message(9, |out| write_properties(set, out));
    }
    match &metric.value {
        None | Some(Raw::Set(_) | Raw::Sets(_)) => {}
        Some(Raw::Bytes(bytes)) => out.bytes(16, bytes),
        Some(Raw::DataSet(set)) => out.message(17, |out| write_data_set(set, out)),
        Some(Raw::Template(template)) => out.message(18, |out| write_template(template, out)),
        Some(Raw::Extension(bytes)) => out.bytes(19, bytes),
        Some(plain) => write_scalar(plain, 10, out),
    }
}

fn write_properties(set: &PropertySet, out: &mut Writer) {
    for (key, _) in &set.entries {
        out.bytes(1, key.as_bytes());
    }
    for (_, property) in &set.entries {
        out.message(2, |out| write_property(property, out));
    }
}

fn write_property(property: &Property, out: &mut Writer) {
    out.opt_u64(1, property.datatype.map(u64::from));
    out.flag(2, property.is_null);
    match &property.value {
        None => {}
        Some(Raw::Set(set)) => out.message(9, |out| write_properties(set, out)),
        Some(Raw::Sets(sets)) => out.message(10, |out| {
            for set in sets {
                out.message(1, |out| write_properties(set, out));
            }
        }),
        Some(Raw::Extension(bytes)) => out.bytes(11, bytes),
        Some(plain) => write_scalar(plain, 3, out),
    }
}

fn write_data_set(set: &DataSet, out: &mut Writer) {
    out.opt_u64(1, set.num_of_columns);
    for column in &set.columns {
        out.bytes(2, column.as_bytes());
    }
    for &code in &set.types {
        out.u64(3, code.into());
    }
    for row in &set.rows {
        out.message(4, |out| {
            for cell in row {
                out.message(1, |out| match cell {
                    None => {}
                    Some(Raw::Extension(bytes)) => out.bytes(7, bytes),
                    Some(plain) => write_scalar(plain, 1, out),
                });
            }
        });
    }
}

fn write_template(template: &Template, out: &mut Writer) {
    out.opt_str(1, template.version.as_deref());
    for metric in &template.metrics {
        out.message(2, |out| write_metric(metric, out));
    }
    for parameter in &template.parameters {
        out.message(3, |out| write_parameter(parameter, out));
    }
    out.opt_str(4, template.template_ref.as_deref());
    out.opt_u64(5, template.is_definition.map(u64::from));
}

fn write_parameter(parameter: &Parameter, out: &mut Writer) {
    out.opt_str(1, parameter.name.as_deref());
    out.opt_u64(2, parameter.datatype.map(u64::from));
    match &parameter.value {
        None => {}
        Some(Raw::Extension(bytes)) => out.bytes(9, bytes),
        Some(plain) => write_scalar(plain, 3, out),
    }
}

fn write_metadata(data: &MetaData, out: &mut Writer) {
    out.opt_u64(1, data.is_multi_part.map(u64::from));
    out.opt_str(2, data.content_type.as_deref());
    out.opt_u64(3, data.size);
    out.opt_u64(4, data.seq);
    out.opt_str(5, data.file_name.as_deref());
    out.opt_str(6, data.file_type.as_deref());
    out.opt_str(7, data.md5.as_deref());
    out.opt_str(8, data.description.as_deref());
}

/// One of the six plain values, of which the first has this number. Others have no place there.
fn write_scalar(raw: &Raw, first: u32, out: &mut Writer) {
    match raw {
        Raw::Int(value) => out.u64(first, (*value).into()),
        Raw::Long(value) => out.u64(first + 1, *value),
        Raw::Float(value) => out.f32(first + 2, *value),
        Raw::Double(value) => out.f64(first + 3, *value),
        Raw::Bool(value) => out.u64(first + 4, (*value).into()),
        Raw::Str(text) => out.bytes(first + 5, text.as_bytes()),
        _ => {}
    }
}
