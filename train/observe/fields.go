package observe

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"time"
)

// Attrs lists what an event says, under the names of the metrics file; zero values that say nothing are left out, and
// durations are seconds.
func Attrs(d Data) []slog.Attr {
	var attrs []slog.Attr
	v := reflect.ValueOf(d)
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		key, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if key == "" || key == "-" || option == "omitempty" && v.Field(i).IsZero() {
			continue
		}
		value := v.Field(i).Interface()
		if took, ok := value.(time.Duration); ok {
			value = math.Round(took.Seconds()*1e6) / 1e6
		}
		attrs = append(attrs, slog.Any(key, value))
	}
	return attrs
}

// encodeLine is an event as one line of JSON.
func encodeLine(e Event) ([]byte, error) {
	line := fmt.Appendf(nil, `{"event":%q,"time":%q,"step":%d`, e.Kind(), e.Time.UTC().Format(time.RFC3339Nano), e.Step)
	for _, a := range Attrs(e.Data) {
		value, err := encodeValue(a.Value.Any())
		if err != nil {
			return nil, fmt.Errorf("%s event, %s: %w", e.Kind(), a.Key, err)
		}
		line = append(fmt.Appendf(line, ",%q:", a.Key), value...)
	}
	return append(line, "}\n"...), nil
}

// encodeValue writes null for what JSON has no number for: a loss that is not finite must not stop the file.
func encodeValue(v any) ([]byte, error) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return []byte("null"), nil
		}
	case map[string]float64:
		numbers := make(map[string]*float64, len(v))
		for key, x := range v {
			if numbers[key] = nil; !math.IsNaN(x) && !math.IsInf(x, 0) {
				numbers[key] = &x
			}
		}
		return json.Marshal(numbers)
	}
	return json.Marshal(v)
}

// decodeLine reads what encodeLine wrote. ok is false for an event of a kind that only people read.
func decodeLine(line []byte) (e Event, ok bool, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return Event{}, false, err
	}
	var head struct {
		Event Kind
		Time  time.Time
		Step  *int
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return Event{}, false, err
	}
	if head.Event == "" || head.Step == nil {
		return Event{}, false, fmt.Errorf(`has no "event" and "step"; not a line of a metrics file`)
	}
	e = Event{Time: head.Time, Step: *head.Step}
	switch head.Event {
	case KindStep:
		e.Data, err = decodeFields[Step](fields)
	case KindEvaluation:
		e.Data, err = decodeFields[Evaluation](fields)
	case KindStart:
		e.Data, err = decodeFields[Start](fields)
	case KindEnd:
		e.Data, err = decodeFields[End](fields)
	default:
		return e, false, nil
	}
	return e, err == nil, err
}

func decodeFields[D Data](fields map[string]json.RawMessage) (D, error) {
	var d D
	v := reflect.ValueOf(&d).Elem()
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		text, ok := fields[key]
		if !ok {
			continue
		}
		if err := decodeValue(text, v.Field(i)); err != nil {
			return d, fmt.Errorf("%s: %w", key, err)
		}
	}
	return d, nil
}

func decodeValue(text json.RawMessage, into reflect.Value) error {
	switch p := into.Addr().Interface().(type) {
	case *time.Duration:
		var seconds float64
		err := json.Unmarshal(text, &seconds)
		*p = time.Duration(seconds * float64(time.Second))
		return err
	case *float64:
		if string(text) == "null" {
			*p = math.NaN()
			return nil
		}
	}
	return json.Unmarshal(text, into.Addr().Interface())
}
