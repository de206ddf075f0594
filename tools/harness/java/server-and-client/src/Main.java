/** Leshan's server and client in one process; leshan.py lists the commands and events. */
public class Main {
    public static void main(String[] args) throws Exception {
        Lines lines = new Lines();
        new Server(lines);
        new Client(lines);
        lines.run();
    }
}
