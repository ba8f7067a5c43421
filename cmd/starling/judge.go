package main

import (
	"fmt"
	"runtime"

	"starling/cmd/starling/dashboard"
	"starling/livesync"
)

// mood is how grave something is.
type mood string

const (
	moodGood    mood = "good"
	moodWarn    mood = "warn"
	moodBad     mood = "bad"
	moodNeutral mood = "neutral" // there is nothing to say
)

// verdict is the answer to a question that an operator has at night.
type verdict struct {
	Mood mood   `json:"mood"`
	Word string `json:"word"`
	Why  string `json:"why,omitempty"`
}

// verdicts are the three there are.
type verdicts struct {
	Serving verdict `json:"serving"`
	Sync    verdict `json:"sync"`
	Load    verdict `json:"load"`
}

// judgeServing answers "is it serving?".
func judgeServing(phase int32, ready bool, s *status) verdict {
	switch {
	case phase == phaseDraining:
		return verdict{moodWarn, "Draining", "it answers what is in hand and ends"}
	case phase == phaseStarting:
		return verdict{moodWarn, "Starting", ""}
	case len(s.Listen.HTTP)+len(s.Listen.HTTPS)+len(s.Listen.UDP) == 0:
		return verdict{moodWarn, "Not serving", "it listens nowhere for announces"}
	case !ready:
		why := "looking for a node to ask"
		if c := s.Livesync.CatchUp; c != nil {
			why = c.line()
		}
		return verdict{moodWarn, "Catching up", why}
	}
	return verdict{moodGood, "Serving", "up " + age(s.Uptime)}
}

// judgeSync answers "is my cluster in sync?".
func judgeSync(s *status, answer livesync.Sync, others []liveLink) verdict {
	l := &s.Livesync
	for _, trouble := range []string{l.Trouble, l.Conflict} {
		if trouble != "" {
			return verdict{moodBad, "Cut off", trouble}
		}
	}
	heard, silent := 0, 0
	for i := range others {
		switch others[i].State {
		case nodeHeard.String():
			heard++
		case nodeSilent.String():
			silent++
		}
	}
	switch {
	case l.Mode == "off":
		return verdict{moodNeutral, "Live sync is off", ""}
	case answer.Yes:
		return verdict{moodGood, "In sync", fmt.Sprintf("with %s", counted(heard, "other node"))}
	case answer.CatchingUp && silent == 0:
		return verdict{moodWarn, "Catching up", answer.Why}
	case answer.Known:
		return verdict{moodBad, "Not in sync", answer.Why}
	case silent > 0:
		return verdict{moodWarn, "Nodes are silent", fmt.Sprintf("%s heard, %d silent", counted(heard, "other node"), silent)}
	case heard == 0:
		return verdict{moodNeutral, "Alone", "no other node is heard"}
	case l.Mode == "keyed":
		return verdict{moodNeutral, "Comparing", answer.Why}
	}
	return verdict{moodGood, "Nodes are heard", counted(heard, "other node") + "; a cluster key would tell more"}
}

// loadWindow is of how many samples the load is judged: of the last seconds, so that the answer does not flicker.
const loadWindow = 10

// judgeLoad answers "is it overloaded?" from the latest samples.
func judgeLoad(samples []dashboard.Sample) verdict {
	samples = samples[max(len(samples)-loadWindow, 0):]
	var refused, pressed, processors, announces float64
	for i := range samples {
		v := &samples[i].Values
		refused += float64(v[dashboard.Refused])
		pressed += float64(v[dashboard.Pressed])
		processors += float64(v[dashboard.Processors])
		announces += float64(v[dashboard.AnnouncesHTTP] + v[dashboard.AnnouncesUDP])
	}
	n := float64(max(len(samples), 1))
	all := runtime.GOMAXPROCS(0)
	busy := fmt.Sprintf("%.0f%% of %s busy", 100*processors/n/float64(all), counted(all, "processor"))
	switch {
	case refused > 0:
		return verdict{moodBad, "Overloaded", fmt.Sprintf("%s refused a second; %s", figure(refused/n), busy)}
	case pressed > 0:
		return verdict{moodWarn, "Pressed", fmt.Sprintf("%s a second answered with less; %s", figure(pressed/n), busy)}
	case processors/n > 0.9*float64(all):
		return verdict{moodWarn, "Busy", busy}
	case announces == 0:
		return verdict{moodGood, "Idle", busy}
	}
	return verdict{moodGood, "Load is fine", busy}
}

// figure writes a rate for people: tenths below ten, thousands apart above.
func figure(v float64) string {
	if v > 0 && v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return count(uint64(v + 0.5))
}

// counted writes a number of things.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
