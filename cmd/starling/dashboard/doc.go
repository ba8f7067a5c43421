// Package dashboard is the page at the admin address: its files, what it draws of the last hour, and how it is told what is new.
//
//	once a second                                            browsers, starling top
//	  Sample --> History (5 minutes by the second,  <-------- GET /api/v1/history, once
//	                      an hour by ten seconds)
//	  frame  --> Hub ---- /api/v1/live, server-sent events -> each second
//
// A frame is made once for all readers and not at all when nobody reads; a reader that is slow gets the latest one and misses those before.
// The history is kept all the while: that is one sample a second, 53 KB without a pointer in it.
//
// The page is plain HTML, CSS and JavaScript modules, embedded as they are written; nothing is fetched from elsewhere, and its
// policy forbids that. What is drawn over time is drawn by uPlot (static/uplot.js, MIT, its licence beside it).
// All texts come as JSON and are put into the page as text, never as HTML.
package dashboard
