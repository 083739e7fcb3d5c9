package jinja

// expr is an expression.
type expr interface{ eval(c *context) Value }

// stmt is a statement.
type stmt interface {
	exec(c *context, out *output) signal
}

// signal says how a statement ended.
type signal uint8

const (
	goOn signal = iota
	breakLoop
	continueLoop
)

type (
	literal struct{ value Value }
	name    struct{ name string }
	list    struct {
		items []expr
		kind  listKind
	}
	dict  struct{ keys, values []expr }
	unary struct {
		op string
		x  expr
	}
	binary struct {
		op   string
		a, b expr
	}
	concatenation struct{ parts []expr }
	comparison    struct {
		first expr
		ops   []string
		rest  []expr
	}
	conditional struct{ test, yes, no expr } // no is nil without else
	attribute   struct {
		x    expr
		name string
	}
	item  struct{ x, key expr }
	slice struct{ x, start, stop, step expr }
	call  struct {
		x    expr
		args callArgs
	}
	filter struct {
		x    expr // nil in {% filter %} and {% set %}: the text before
		name string
		args callArgs
		line int
	}
	test struct {
		x    expr
		name string
		args callArgs
	}
)

// callArgs are the arguments of a call as written.
type callArgs struct {
	list        []expr
	names       []string
	named       []expr
	spread      expr // *args
	spreadNamed expr // **kwargs
}

type (
	data   struct{ text string }
	print_ struct {
		x    expr
		line int
	}
	if_ struct {
		tests  []expr
		bodies [][]stmt
		other  []stmt
	}
	for_ struct {
		target    target
		iter      expr
		test      expr
		recursive bool
		body      []stmt
		other     []stmt
		line      int
	}
	set struct {
		target target
		x      expr
		line   int
	}
	setBlock struct {
		target  target
		filters []*filter
		body    []stmt
		line    int
	}
	macro struct {
		name     string
		params   []string
		defaults []expr // for the last parameters
		body     []stmt
		uses     struct{ varargs, kwargs, caller bool }
	}
	callBlock struct {
		caller *macro
		call   expr
		line   int
	}
	filterBlock struct {
		filters []*filter
		body    []stmt
		line    int
	}
	with struct {
		targets []target
		values  []expr
		body    []stmt
	}
	generation struct{ body []stmt }
	leave      struct{ how signal }
)

// target is what an assignment writes to: a name, an attribute of a namespace, or a list of targets.
type target struct {
	name  string
	attr  string
	parts []target
}
