use alloc::sync::Arc;

use crate::facet::check_convert;
use crate::{
    Convert, ConvertCache, ConvertContext, EnumDef, EnumDefs, Facet, FacetFaults, Fault, PointSpec,
    Tag, Unit, Value,
};

/// What happens to the values of a point between its device and what is shown: the converts of its
/// three facets and the calibration of its current value.
///
/// Made once from a [`PointSpec`]; the converts are shared with every point of the same texts.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    cur: Option<Arc<Convert>>,
    write: Option<Arc<Convert>>,
    his: Option<Arc<Convert>>,
    calibration: Option<(f64, Option<Unit>)>,
    own_enum: Option<Arc<EnumDef>>,
}

impl Pipeline {
    /// The pipeline of a point and what is wrong with its configuration. A convert that does not
    /// parse is a fault of its own facet, whose values must not pass; the others go on.
    pub fn new(spec: &PointSpec, converts: &mut ConvertCache) -> (Self, FacetFaults) {
        let mut faults = FacetFaults::default();
        let mut convert = |facet, text: &Option<_>| {
            let text: &alloc::boxed::Box<str> = text.as_ref()?;
            check_convert(&mut faults, facet, text, converts)
        };
        let mut pipeline = Self {
            cur: convert(Facet::Cur, &spec.more.cur_convert),
            write: convert(Facet::Write, &spec.more.write_convert),
            his: convert(Facet::His, &spec.more.his_convert),
            calibration: None,
            own_enum: None,
        };
        match &spec.more.cur_calibration {
            None => {}
            Some(Value::Number(number, unit)) => pipeline.calibration = Some((*number, *unit)),
            Some(other) => {
                let got = other.kind_name();
                let message = format_args!("Invalid type for 'curCalibration' [{got} != Number]");
                faults.add(Facet::Cur, message);
            }
        }
        if let Some(Tag::Value(Value::Str(tag))) = spec.more.tags.get("enum") {
            pipeline.own_enum = EnumDef::from_tag(tag).ok().map(Arc::new);
        }
        (pipeline, faults)
    }

    /// Whether a point needs none: its values pass as they are.
    pub fn is_plain(spec: &PointSpec) -> bool {
        let more = &*spec.more;
        more.cur_convert.is_none()
            && more.write_convert.is_none()
            && more.his_convert.is_none()
            && more.cur_calibration.is_none()
    }

    /// What a reading becomes as the point's current value: converted, calibrated, with the point's
    /// unit, and of its kind. A number without a unit has the point's before it is calibrated, so
    /// that a calibration in `Δ°C` suits a reading that the device gives as a bare number.
    pub fn cur(&self, spec: &PointSpec, raw: Value, enums: &EnumDefs) -> Result<Value, Fault> {
        let val = self.convert(self.cur.as_ref(), spec, raw, enums)?;
        let val = match (val, self.calibration) {
            (Value::Number(number, unit), Some((offset, offset_unit))) => {
                let unit = Unit::sum(unit.or(spec.unit), offset_unit).map_err(Fault::permanent)?;
                Value::Number(number + offset, unit)
            }
            (val, None) | (val @ Value::Null, _) => val,
            (val, Some(_)) => {
                let got = val.kind_name();
                return Err(Fault::permanent(format_args!(
                    "curCalibration takes a Number, not a {got}"
                )));
            }
        };
        spec.accept(val)
    }

    /// What a value becomes on its way to the device.
    pub fn write(&self, spec: &PointSpec, val: Value, enums: &EnumDefs) -> Result<Value, Fault> {
        self.convert(self.write.as_ref(), spec, val, enums)
    }

    /// What an item of the device's history becomes. The calibration does not apply.
    pub fn his(&self, spec: &PointSpec, val: Value, enums: &EnumDefs) -> Result<Value, Fault> {
        self.convert(self.his.as_ref(), spec, val, enums)
    }

    /// The names that the point's `enum` tag gives to its values.
    pub fn own_enum(&self) -> Option<&EnumDef> {
        self.own_enum.as_deref()
    }

    fn convert(
        &self,
        convert: Option<&Arc<Convert>>,
        spec: &PointSpec,
        val: Value,
        enums: &EnumDefs,
    ) -> Result<Value, Fault> {
        let Some(convert) = convert else { return Ok(val) };
        let context = ConvertContext::new()
            .with_unit(spec.unit)
            .with_own_enum(self.own_enum.as_deref())
            .with_enums(enums);
        Ok(convert.apply(&val, &context)?)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use super::*;
    use crate::Kind;

    fn unit(text: &str) -> Option<Unit> {
        Unit::parse(text).ok()
    }

    fn spec(kind: Kind, unit: Option<Unit>) -> PointSpec {
        let mut spec = PointSpec::new("p1".parse().unwrap(), kind);
        spec.unit = unit;
        spec
    }

    fn cur(spec: &PointSpec, raw: Value) -> Result<Value, String> {
        let (pipeline, faults) = Pipeline::new(spec, &mut ConvertCache::default());
        assert!(faults.is_empty(), "{faults:?}");
        pipeline.cur(spec, raw, &EnumDefs::new()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_reading_is_converted_then_calibrated_then_given_its_unit() {
        let mut spec = spec(Kind::Number, unit("°C"));
        spec.more.cur_convert = Some("* 0.1".into());
        spec.more.cur_calibration = Some(Value::Number(0.5, unit("Δ°C")));
        let celsius = |number| Ok(Value::Number(number, unit("°C")));
        assert_eq!(cur(&spec, Value::Number(200.0, unit("°C"))), celsius(20.5));
        assert_eq!(cur(&spec, Value::number(200.0)), celsius(20.5));
        spec.more.cur_calibration = Some(Value::number(0.5));
        assert_eq!(cur(&spec, Value::number(200.0)), celsius(20.5));
        spec.more.cur_calibration = Some(Value::Number(0.5, unit("Δ°F")));
        let error = cur(&spec, Value::Number(200.0, unit("°C"))).unwrap_err();
        assert_eq!(error, "cannot add a number in Δ°F to one in °C");
        assert_eq!(cur(&spec, Value::Null), Ok(Value::Null));
        let error = cur(&spec, Value::str("x")).unwrap_err();
        assert_eq!(error, "* 0.1 takes a Number, not a Str");
    }

    #[test]
    fn a_convert_that_gives_another_kind_or_unit_is_a_fault() {
        let mut spec = spec(Kind::Number, unit("°C"));
        spec.more.cur_convert = Some("?: NA".into());
        let error = cur(&spec, Value::Null).unwrap_err();
        assert_eq!(error, "curVal kind != configured kind: NA != Number");
        spec.more.cur_convert = Some("°C => °F".into());
        let error = cur(&spec, Value::number(1.0)).unwrap_err();
        assert_eq!(error, "point unit != updateCurOk unit: °C != °F");
        spec.more.cur_convert = Some("thermistor(10k-2)".into());
        let Ok(Value::Number(number, got)) = cur(&spec, Value::number(10_000.0)) else { panic!() };
        assert!((number - 25.0).abs() < 1e-9 && got == unit("°C"));
    }

    #[test]
    fn each_facet_has_its_own_convert_and_fault() {
        let mut spec = spec(Kind::Bool, None);
        spec.more.tags.set("enum", Tag::Value(Value::str("off, on")));
        spec.more.cur_convert = Some("enumStrToBool(self)".into());
        spec.more.write_convert = Some("enumBoolToStr(self)".into());
        spec.more.his_convert = Some("?:".into());
        spec.more.cur_calibration = Some(Value::Bool(true));
        let (pipeline, faults) = Pipeline::new(&spec, &mut ConvertCache::default());
        let text = |facet| faults.get(facet).map(ToString::to_string);
        assert_eq!(
            text(Facet::Cur).as_deref(),
            Some("Invalid type for 'curCalibration' [Bool != Number]"),
        );
        assert_eq!(text(Facet::Write), None);
        let his = text(Facet::His).unwrap();
        assert!(his.starts_with("Point convert invalid: 'hisConvert' [column 3: "), "{his}");
        let enums = EnumDefs::new();
        assert_eq!(pipeline.cur(&spec, Value::str("on"), &enums), Ok(Value::Bool(true)));
        assert_eq!(pipeline.write(&spec, Value::Bool(false), &enums), Ok(Value::str("off")));
        assert_eq!(pipeline.his(&spec, Value::Na, &enums), Ok(Value::Na));
    }

    #[test]
    fn points_of_the_same_text_share_their_convert() {
        let mut spec = spec(Kind::Number, None);
        spec.more.cur_convert = Some("* 0.1".into());
        let mut converts = ConvertCache::default();
        let [a, b] = [(); 2].map(|()| Pipeline::new(&spec, &mut converts).0.cur.unwrap());
        assert!(Arc::ptr_eq(&a, &b));
    }
}
