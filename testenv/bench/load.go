package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// result is one round of load.
type result struct {
	requests int
	wrong    int // answers with another status than 200
	seconds  float64
	p50, p99 time.Duration
}

func (r result) rate() float64 { return float64(r.requests) / r.seconds }

// load sends prepared requests over connections that are kept, each as soon as
// the last was answered, for a while. Requests are taken in turn.
func load(addr string, requests [][]byte, connections int, d time.Duration) (result, error) {
	var next atomic.Uint64
	var mu sync.Mutex // guards what follows
	var total result
	var times []time.Duration
	var failed error
	var work sync.WaitGroup
	end := time.Now().Add(d)
	begin := time.Now()
	for range connections {
		work.Go(func() {
			n, wrong, lat, err := one(addr, requests, &next, end)
			mu.Lock()
			defer mu.Unlock()
			total.requests += n
			total.wrong += wrong
			times = append(times, lat...)
			if err != nil {
				failed = err
			}
		})
	}
	work.Wait()
	total.seconds = time.Since(begin).Seconds()
	slices.Sort(times)
	if len(times) > 0 {
		total.p50, total.p99 = times[len(times)/2], times[len(times)*99/100]
	}
	return total, failed
}

func one(addr string, requests [][]byte, next *atomic.Uint64, end time.Time) (n, wrong int, lat []time.Duration, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, 0, nil, err
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 8<<10)
	for begin := time.Now(); begin.Before(end); n++ {
		if _, err := conn.Write(requests[next.Add(1)%uint64(len(requests))]); err != nil {
			return n, wrong, lat, err
		}
		ok, err := response(in)
		if err != nil {
			return n, wrong, lat, err
		}
		if !ok {
			wrong++
		}
		now := time.Now()
		if n%16 == 0 {
			lat = append(lat, now.Sub(begin))
		}
		begin = now
	}
	return n, wrong, lat, nil
}

// response reads one response with a Content-Length.
func response(in *bufio.Reader) (ok bool, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	ok = bytes.HasPrefix(line, []byte("HTTP/1.1 200"))
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		if len(line) <= 2 {
			break
		}
		if len(line) > 16 && (line[0]|0x20) == 'c' && bytes.EqualFold(line[:15], []byte("content-length:")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return false, err
			}
		}
	}
	_, err = in.Discard(length)
	return ok, err
}

// backend is an upstream that costs next to nothing: it reads requests without
// bodies and answers each with the same bytes.
func backend(l net.Listener) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			in := bufio.NewReaderSize(conn, 16<<10)
			for {
				for {
					line, err := in.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) <= 2 {
						break
					}
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}

// request is a GET with a token, as bytes.
func request(token string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET /x HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n")
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	_, _ = io.WriteString(&b, "\r\n")
	return b.Bytes()
}
