package data

import "strconv"

// count writes a number with its noun: 1 element, 2 elements.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// index writes the path of a list's element: history[1].
func index(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }
