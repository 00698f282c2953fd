<?php
// The test's side: runs the test with stand-ins for the answer's functions. Nothing of the answer runs here.
namespace Daybreak {
    require __DIR__ . '/values.php';

    function fail_with(string $message, int $status = 1): never {
        fwrite(STDERR, substr($message, 0, 4000) . "\n");
        exit($status);
    }

    function hear(): array {
        $reply = receive();
        if (!is_array($reply)) fail_with('the program ended before its test was over', 3);
        if (isset($reply['broken'])) fail_with((string) $reply['broken'], 4); // no error that a test could expect
        return $reply;
    }

    function ask(string $name, array $arguments) {
        send(['name' => $name, 'args' => array_map('\Daybreak\encode', $arguments)]);
        $reply = hear();
        if (isset($reply['error'])) {
            [$kind, $message] = array_map('strval', array_pad((array) $reply['error'], 2, ''));
            $known = ['TypeError', 'ValueError', 'ArgumentCountError', 'DivisionByZeroError', 'InvalidArgumentException', 'RangeException', 'OutOfRangeException', 'Exception', 'Error'];
            throw in_array($kind, $known, true) ? new $kind($message) : new \Exception("$kind: $message");
        }
        try {
            return decode($reply['value'] ?? null);
        } catch (\Throwable $error) {
            fail_with("a broken answer: {$error->getMessage()}", 3);
        }
    }

    $loaded = hear();
    if (isset($loaded['error'])) fail_with(implode(': ', array_map('strval', (array) $loaded['error'])), ($loaded['error'][0] ?? '') === 'ParseError' ? 2 : 4);
    foreach (json_decode(file_get_contents('/job/names.json'), true) as $name) {
        if (function_exists("\\$name")) continue; // what the language has stays what it is
        eval("namespace { function $name(...\$arguments) { return \\Daybreak\\ask('$name', \$arguments); } }");
    }
    set_error_handler(function (int $level, string $message) {
        if (error_reporting() & $level) throw new \ErrorException($message);
        return false;
    }, E_ALL & ~E_DEPRECATED & ~E_NOTICE & ~E_WARNING);
    try {
        require '/job/test.php';
    } catch (\Throwable $error) {
        fail_with(get_class($error) . ': ' . $error->getMessage());
    }
}
