package client

import (
	"fmt"
	"os"
	"time"
)

// FailureError is a tracker's refusal: a failure reason over HTTP, an error reply over UDP.
type FailureError struct {
	Reason  string
	RetryIn time.Duration // BEP 31; 0: not told
	Never   bool          // BEP 31: a retry will fail, too
}

func (e *FailureError) Error() string {
	switch {
	case e.Never:
		return fmt.Sprintf("the tracker refuses: %q, for ever", e.Reason)
	case e.RetryIn > 0:
		return fmt.Sprintf("the tracker refuses: %q, retry in %v", e.Reason, e.RetryIn)
	}
	return fmt.Sprintf("the tracker refuses: %q", e.Reason)
}

// StatusError is an HTTP answer whose status is not 200 and that names no failure reason.
type StatusError struct {
	Status string // as "404 Not Found"
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the tracker answers with status %q", e.Status)
}

// AnswerError is an answer that breaks the protocol.
type AnswerError struct {
	What string // what is wrong with it
}

func (e *AnswerError) Error() string { return "the answer is malformed: " + e.What }

func answerErrorf(format string, args ...any) *AnswerError {
	return &AnswerError{What: fmt.Sprintf(format, args...)}
}

// SilenceError is a tracker that answered nothing to the purpose in the time it was given.
type SilenceError struct {
	Waited    time.Duration // in all
	Tries     int           // UDP packets sent in vain, 0 over HTTP
	Connected bool          // the tracker gave a UDP connection id and then fell silent
	Ignored   int           // packets that came and answered nothing that was asked
	Last      string        // why the last of them was ignored
}

func (e *SilenceError) Error() string {
	s := fmt.Sprintf("no answer in %v", e.Waited.Round(time.Millisecond))
	if e.Tries > 0 {
		s += fmt.Sprintf(", %d tries", e.Tries)
	}
	if e.Connected {
		s += ", though it gave a connection id"
	}
	if e.Ignored > 0 {
		s += fmt.Sprintf("; %d packets ignored, the last for its %s", e.Ignored, e.Last)
	}
	return s
}

// Unwrap lets errors.Is see the deadline in it.
func (e *SilenceError) Unwrap() error { return os.ErrDeadlineExceeded }
