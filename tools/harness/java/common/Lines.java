import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.eclipse.leshan.core.response.LwM2mResponse;

/**
 * Commands as JSON lines on standard input, answers and events as JSON lines on standard output.
 * {"id": 1, "command": "read", …} is answered by {"id": 1, "answer": …} or {"id": 1, "error": "…"};
 * an event is {"event": "registered", …}.
 */
public class Lines {
    public interface Command {
        Object run(JsonNode args) throws Exception;
    }

    public static final ObjectMapper JSON = new ObjectMapper();

    private final PrintStream out;
    private final Map<String, Command> commands = new HashMap<>();
    // A command may wait for a client's answer, and the next command must not wait for it.
    private final ExecutorService pool = Executors.newCachedThreadPool();

    public Lines() {
        out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // what a library prints must not get between the lines
    }

    public void command(String name, Command command) {
        commands.put(name, command);
    }

    /** keysAndValues: key, value, key, value …; a null value leaves its key out. */
    public static Map<String, Object> map(Object... keysAndValues) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2)
            if (keysAndValues[i + 1] != null)
                map.put((String) keysAndValues[i], keysAndValues[i + 1]);
        return map;
    }

    /** A CoAP code as RFC 7252 writes it, with Leshan's name for it and the diagnostic payload. */
    public static Map<String, Object> response(LwM2mResponse response) {
        int code = response.getCode().getCode();
        String number = String.format("%d.%02d", code / 100, code % 100);
        return map("code", number, "name", response.getCode().getName(), "diagnostic", response.getErrorMessage());
    }

    public void event(String kind, Map<String, Object> details) {
        Map<String, Object> line = map("event", kind);
        line.putAll(details);
        print(line);
    }

    private synchronized void print(Object line) {
        try {
            out.println(JSON.writeValueAsString(line));
        } catch (Exception e) {
            throw new IllegalStateException("cannot be written as JSON: " + line, e);
        }
    }

    /** Runs until standard input ends, so that no process outlives the one that started it. */
    public void run() throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        event("ready", map());
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode args = JSON.readTree(line);
            pool.execute(() -> answer(args));
        }
        System.exit(0);
    }

    private void answer(JsonNode args) {
        int id = args.get("id").asInt();
        try {
            String name = args.get("command").asText();
            Command command = commands.get(name);
            if (command == null)
                throw new IllegalArgumentException("unknown command " + name + ", there are " + commands.keySet());
            Map<String, Object> line = new LinkedHashMap<>();
            line.put("id", id);
            line.put("answer", command.run(args));
            print(line);
        } catch (Throwable e) {
            e.printStackTrace();
            print(map("id", id, "error", e.toString()));
        }
    }
}
