// Sends rows to a HEC by the OpenTelemetry collector's splunkhec exporter: a peer of the Splunk sink in the bench.
//
//	go-exporter URL TOKEN FILE ROWS WARM_UP BATCH IN_FLIGHT gzip|none
//
// FILE holds the rows as NDJSON; they are sent again and again until ROWS are. The logs are made before the measurement and
// used again, so that only the exporter is measured. Prints one JSON object: rows, seconds, cpu (seconds), peak (bytes).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/splunkhecexporter"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

func main() {
	if len(os.Args) != 9 {
		log.Fatal("usage: go-exporter URL TOKEN FILE ROWS WARM_UP BATCH IN_FLIGHT gzip|none")
	}
	url, token, file := os.Args[1], os.Args[2], os.Args[3]
	rows, warmUp, batch, inFlight := number(4), number(5), number(6), number(7)

	initial := cpu()
	stock := read(file, batch)

	// Without warm-up the start counts, that of the process too.
	before, began := cpu()-initial, time.Now()
	sender := start(url, token, os.Args[8] == "none")
	if warmUp > 0 {
		send(sender, stock, warmUp/batch, inFlight)
		before, began = cpu(), time.Now()
	}
	send(sender, stock, rows/batch, inFlight)
	seconds := time.Since(began).Seconds()
	result := map[string]float64{
		"rows":    float64(rows / batch * batch),
		"seconds": seconds,
		"cpu":     cpu() - before,
		"peak":    float64(usage().Maxrss * 1024),
	}
	text, err := json.Marshal(result)
	check(err)
	fmt.Println(string(text))
}

// read gives the rows of a file as logs of `batch` records each.
func read(file string, batch int) []plog.Logs {
	input, err := os.Open(file)
	check(err)
	defer input.Close()
	lines := bufio.NewScanner(input)
	lines.Buffer(nil, 1<<20)
	var stock []plog.Logs
	var records plog.LogRecordSlice
	for count := 0; lines.Scan(); count++ {
		if count%batch == 0 {
			logs := plog.NewLogs()
			records = logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
			stock = append(stock, logs)
		}
		var row map[string]any
		check(json.Unmarshal(lines.Bytes(), &row))
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		check(record.Body().SetEmptyMap().FromRaw(row))
	}
	check(lines.Err())
	return stock
}

// start makes the exporter as the collector does, without its queue: the caller holds the number of requests in flight.
func start(url, token string, plain bool) exporter.Logs {
	factory := splunkhecexporter.NewFactory()
	config := factory.CreateDefaultConfig()
	check(confmap.NewFromStringMap(map[string]any{
		"endpoint":            url,
		"token":               token,
		"sourcetype":          "_json",
		"disable_compression": plain,
		"sending_queue":       map[string]any{"enabled": false},
		"retry_on_failure":    map[string]any{"enabled": false},
		"max_idle_conns":      64,
	}).Unmarshal(config))
	logs, err := factory.CreateLogs(context.Background(), exportertest.NewNopSettings(factory.Type()), config)
	check(err)
	check(logs.Start(context.Background(), componenttest.NewNopHost()))
	return logs
}

// send delivers `batches` batches, `inFlight` at a time.
func send(sender exporter.Logs, stock []plog.Logs, batches, inFlight int) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range inFlight {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for at := next.Add(1) - 1; at < int64(batches); at = next.Add(1) - 1 {
				check(sender.ConsumeLogs(context.Background(), stock[at%int64(len(stock))]))
			}
		}()
	}
	workers.Wait()
}

func usage() syscall.Rusage {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage
}

// cpu gives the seconds of CPU that this process has used.
func cpu() float64 {
	usage := usage()
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func number(at int) int {
	value, err := strconv.Atoi(os.Args[at])
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
