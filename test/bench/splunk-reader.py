# Reads one export answer by the Python splunk-sdk: reader.py HOST PORT TOKEN SEARCH. Prints { rows, seconds, peak } as JSON.
import json, resource, sys, time
import splunklib.client as client
import splunklib.results as results

host, port, token, search = sys.argv[1:5]
service = client.Service(host=host, port=int(port), scheme="https", verify=False, splunkToken=token)

def read(query):
    rows = 0
    # What service.jobs.export() does, without asking for server/info before.
    answer = service.post("/services/search/v2/jobs/export", search=query, output_mode="json", preview="false")
    for item in results.JSONResultsReader(answer.body):
        if isinstance(item, dict):
            rows += 1
    return rows

read("search warm")
start = time.perf_counter()
rows = read(search)
print(json.dumps({"rows": rows, "seconds": time.perf_counter() - start, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
