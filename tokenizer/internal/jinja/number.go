package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// numberKey writes equal numbers equally.
func numberKey(v Value) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "1"
		}
		return "0"
	case int64:
		return strconv.FormatInt(v, 10)
	case *big.Int:
		return v.String()
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

// normal keeps an integer in 64 bits where it fits.
func normal(n *big.Int) Value {
	if n.IsInt64() {
		return n.Int64()
	}
	if n.BitLen() > 1<<16 {
		raise("an integer has more than %d bits", 1<<16)
	}
	return n
}

// integer gives an int or bool as a big.Int.
func integer(v Value) (*big.Int, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return big.NewInt(1), true
		}
		return new(big.Int), true
	case int64:
		return big.NewInt(v), true
	case *big.Int:
		return v, true
	}
	return nil, false
}

// number gives any number as a float.
func number(v Value) (float64, bool) {
	if f, ok := v.(float64); ok {
		return f, true
	}
	if n, ok := integer(v); ok {
		f, _ := new(big.Float).SetInt(n).Float64()
		return f, true
	}
	return 0, false
}

// small gives an int or bool as an int, for indices and counts.
func small(v Value) (int, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int64:
		return int(v), true
	}
	return 0, false
}

// floatText is Python's repr of a float.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	digits := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(digits, "e")
	e, _ := strconv.Atoi(exponent)
	if e < -4 || e >= 16 {
		sign := "+"
		if e < 0 {
			sign, e = "-", -e
		}
		text := itoa(e)
		if len(text) < 2 {
			text = "0" + text
		}
		return mantissa + "e" + sign + text
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// arithmetic computes a + b and its like for numbers; ok is false where one is not a number.
func arithmetic(op string, a, b Value) (result Value, ok bool) {
	x, xInt := integer(a)
	y, yInt := integer(b)
	if xInt && yInt && op != "/" {
		return intArithmetic(op, x, y), true
	}
	f, okF := number(a)
	g, okG := number(b)
	if !okF || !okG {
		return nil, false
	}
	return floatArithmetic(op, f, g), true
}

func intArithmetic(op string, x, y *big.Int) Value {
	out := new(big.Int)
	switch op {
	case "+":
		out.Add(x, y)
	case "-":
		out.Sub(x, y)
	case "*":
		out.Mul(x, y)
	case "//", "%":
		if y.Sign() == 0 {
			raise("integer division or modulo by zero")
		}
		quotient, remainder := new(big.Int).QuoRem(x, y, new(big.Int))
		if remainder.Sign() != 0 && remainder.Sign() != y.Sign() { // Python rounds down
			quotient.Sub(quotient, big.NewInt(1))
			remainder.Add(remainder, y)
		}
		if out = quotient; op == "%" {
			out = remainder
		}
	case "**":
		return power(x, y)
	}
	return normal(out)
}

func power(x, y *big.Int) Value {
	if y.Sign() < 0 {
		f, _ := number(x)
		g, _ := number(y)
		return floatArithmetic("**", f, g)
	}
	if !y.IsInt64() || x.BitLen()*int(min(y.Int64(), 1<<20)) > 1<<16 {
		raise("a power is too large")
	}
	return normal(new(big.Int).Exp(x, y, nil))
}

func floatArithmetic(op string, f, g float64) Value {
	switch op {
	case "+":
		return f + g
	case "-":
		return f - g
	case "*":
		return f * g
	case "**":
		return math.Pow(f, g)
	}
	if g == 0 {
		raise("division by zero")
	}
	switch op {
	case "/":
		return f / g
	case "//":
		return math.Floor(f / g)
	}
	rest := math.Mod(f, g)
	if rest != 0 && (rest < 0) != (g < 0) {
		rest += g
	}
	return rest
}

// compareNumbers is -1, 0 or 1.
func compareNumbers(a, b Value) (int, bool) {
	x, xInt := integer(a)
	y, yInt := integer(b)
	if xInt && yInt {
		return x.Cmp(y), true
	}
	f, okF := number(a)
	g, okG := number(b)
	switch {
	case !okF || !okG:
		return 0, false
	case f < g:
		return -1, true
	case f > g:
		return 1, true
	case f == g:
		return 0, true
	}
	return 2, true // not a number
}
