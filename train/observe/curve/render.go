package curve

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"
)

// ErrNoSteps says that there is nothing to draw.
var ErrNoSteps = errors.New("no steps to draw")

// The picture in pixels: twice the size it is usually shown at.
const (
	pictureWidth, pictureHeight = 1600, 900
	left, right                 = 130, 1450
	top, bottom                 = 170, 790
)

var (
	ink    = drawing.Color{R: 0x22, G: 0x26, B: 0x2e, A: 0xff}
	muted  = drawing.Color{R: 0x6b, G: 0x72, B: 0x80, A: 0xff}
	grid   = drawing.Color{R: 0xe7, G: 0xe9, B: 0xee, A: 0xff}
	blue   = drawing.Color{R: 0x1f, G: 0x5f, B: 0xd0, A: 0xff}
	pale   = drawing.Color{R: 0x1f, G: 0x5f, B: 0xd0, A: 0x48}
	grey   = drawing.Color{R: 0x9a, G: 0xa3, B: 0xb2, A: 0xff}
	orange = []drawing.Color{
		{R: 0xe0, G: 0x6c, B: 0x00, A: 0xff}, {R: 0x16, G: 0x8f, B: 0x6b, A: 0xff}, {R: 0xa0, G: 0x3b, B: 0xb0, A: 0xff},
	}
)

func render(w io.Writer, r run) error {
	if len(r.loss) == 0 {
		return ErrNoSteps
	}
	r.smooth = smoothed(r.loss)
	p := newPicture(r)
	p.drawFrame()
	p.drawCurves()
	p.drawHeader()
	return p.Save(w)
}

// picture is a run on a canvas.
type picture struct {
	chartdraw.Renderer
	run
	x, y, rates axis
}

func newPicture(r run) picture {
	low, high := r.lossRange()
	canvas := chartdraw.PNG(pictureWidth, pictureHeight)
	canvas.SetDPI(72) // a point is a pixel
	return picture{
		Renderer: canvas, run: r,
		x:     stepAxis(r.last, left, right),
		y:     newAxis(low, high, 7, bottom, top),
		rates: rateAxis(slices.Max(append(values(r.rate), 0)), bottom, top),
	}
}

// drawFrame draws everything that lies below the curves.
func (p picture) drawFrame() {
	p.SetFillColor(drawing.ColorWhite)
	p.path(point{0, 0}, point{pictureWidth, 0}, point{pictureWidth, pictureHeight}, point{0, pictureHeight})
	p.Fill()
	for _, tick := range p.y.ticks {
		y := p.y.at(tick)
		p.line(grid, 2, point{left, float64(y)}, point{right, float64(y)})
		p.label(p.y.label(tick), left-16, y+8, muted, 24, 1)
	}
	for _, tick := range p.x.ticks {
		p.label(p.x.label(tick), p.x.at(tick), bottom+40, muted, 24, 0.5)
	}
	for _, tick := range p.rates.ticks {
		p.label(p.rates.label(tick), right+16, p.rates.at(tick)+8, grey, 22, 0)
	}
	p.line(muted, 2, point{left, bottom}, point{right, bottom})
	p.label("optimizer step", (left+right)/2, bottom+85, muted, 24, 0.5)
}

func (p picture) drawCurves() {
	const columns = (right - left) / 2
	p.SetStrokeDashArray([]float64{12, 8})
	p.curve(p.rates, grey, 2.5, thinned(p.rate, columns))
	p.SetStrokeDashArray(nil)
	p.curve(p.y, pale, 2, thinned(p.loss, columns))
	p.curve(p.y, blue, 5, thinned(p.smooth, columns))
	for i, name := range p.evalNames() {
		colour := orange[i%len(orange)]
		p.curve(p.y, colour, 4, p.evals[name])
		for _, e := range thinned(p.evals[name], 20) {
			p.dot(colour, 7, p.x.at(e.x), p.y.at(e.y))
		}
	}
}

func (p picture) evalNames() []string { return slices.Sorted(maps.Keys(p.evals)) }

// drawHeader writes the title, and below it what each colour means with its last value.
func (p picture) drawHeader() {
	title := "Training loss"
	if name := printable(p.name); name != "" {
		title += ": " + name
	}
	p.label(title, left, 68, ink, 38, 0)
	l := legend{p, left}
	l.line(pale, 14)
	l.line(blue, 6)
	l.text(fmt.Sprintf("train %.4g", p.smooth[len(p.smooth)-1].y))
	for i, name := range p.evalNames() {
		if points := p.evals[name]; len(points) > 0 {
			l.line(orange[i%len(orange)], 6)
			l.text(strings.Join(strings.Fields(fmt.Sprintf("eval %s %.4g", printable(name), points[len(points)-1].y)), " "))
		}
	}
	if len(p.rate) > 0 {
		p.SetStrokeDashArray([]float64{12, 6})
		l.line(grey, 4)
		p.SetStrokeDashArray(nil)
		l.text("learning rate (right)")
	}
}

// legend is written from left to right.
type legend struct {
	picture
	at int
}

func (l *legend) line(colour drawing.Color, width float64) {
	l.picture.line(colour, width, point{float64(l.at), 112}, point{float64(l.at + 48), 112})
}

func (l *legend) text(s string) { l.at += 62 + l.label(s, l.at+62, 121, ink, 25, 0) + 48 }

// curve draws points against an axis; a single point becomes a dot.
func (p picture) curve(y axis, colour drawing.Color, width float64, points []point) {
	pixels := make([]point, len(points))
	for i, v := range points {
		pixels[i] = point{float64(p.x.at(v.x)), float64(y.at(v.y))}
	}
	if len(pixels) == 1 {
		p.dot(colour, 2*width, int(pixels[0].x), int(pixels[0].y))
		return
	}
	p.line(colour, width, pixels...)
}

func (p picture) dot(colour drawing.Color, radius float64, x, y int) {
	p.SetFillColor(colour)
	p.SetStrokeColor(drawing.ColorWhite)
	p.SetStrokeWidth(2)
	p.Circle(radius, x, y)
	p.FillStroke()
}

func (p picture) line(colour drawing.Color, width float64, points ...point) {
	if len(points) < 2 {
		return
	}
	p.SetStrokeColor(colour)
	p.SetStrokeWidth(width)
	p.path(points...)
	p.Stroke()
}

func (p picture) path(points ...point) {
	p.MoveTo(int(points[0].x), int(points[0].y))
	for _, v := range points[1:] {
		p.LineTo(int(v.x), int(v.y))
	}
}

// label writes text whose share anchor lies left of x, and returns its width.
func (p picture) label(text string, x, y int, colour drawing.Color, size, anchor float64) int {
	p.SetFont(chartdraw.GetDefaultFont())
	p.SetFontColor(colour)
	p.SetFontSize(size)
	width := p.MeasureText(text).Width()
	p.Text(text, x-int(anchor*float64(width)), y)
	return width
}

// printable keeps the characters that the built-in fonts have.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > 0x24f || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, s))
}
