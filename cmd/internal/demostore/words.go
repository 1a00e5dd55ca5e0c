package demostore

import (
	"math/rand/v2"
	"strings"
)

var words = strings.Fields(`the a and to of in is you that it for on with are this at we be have from or one had by but
not what all were when your can there use an each which she how their will up other about out many then them these so
some her would make like him into time has look two more write go see number no way could people my than first water
been call who oil now find long down day did get come made may part yes ok haha thanks great morning night dinner train
late sorry love photo video call tomorrow today birthday kids school work meeting coffee beach rain sun holiday ticket
mum dad sister brother friend doctor garden kitchen window market bread apple cheese wine beer song film game football
street house door key car bike bus plane hotel map ring letter paper book page story joke smile dream wish hope`)

var syllables = strings.Fields("ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo vu")

// sentence draws n words: most are common, some are rare as names are.
func sentence(r *rand.Rand, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		if r.IntN(6) == 0 {
			for range 2 + r.IntN(3) {
				b.WriteString(syllables[r.IntN(len(syllables))])
			}
			continue
		}
		b.WriteString(words[int(r.ExpFloat64()*24)%len(words)])
	}
	return b.String()
}

// picture draws bytes that compress no better than a picture does.
func picture(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	fill(r, b)
	return b
}

func fill(r *rand.Rand, b []byte) {
	for len(b) >= 8 {
		v := r.Uint64()
		for i := range 8 {
			b[i] = byte(v >> (8 * i))
		}
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}
