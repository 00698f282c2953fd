<?php
// The answer's side: loads the program, then answers calls with plain data. Holds no test and no verdict.
require __DIR__ . '/values.php';

function daybreak_failure(\Throwable $error): array {
    $shown = preg_match('/^.{0,2000}/su', $error->getMessage(), $match) ? $match[0] : 'an error that cannot be shown';
    if ($error instanceof \Daybreak\NotPlain) return ['broken' => $shown];
    return ['error' => [get_class($error), $shown]];
}

ob_start(fn () => '', 4096);
try {
    require '/job/program.php';
} catch (\Throwable $error) {
    \Daybreak\send(daybreak_failure($error));
    exit(0);
}
\Daybreak\send(['value' => true]);
while (($request = \Daybreak\receive()) !== null) {
    try {
        $arguments = array_map('\Daybreak\decode', $request['args']);
        $reply = ['value' => \Daybreak\encode(($request['name'])(...$arguments))];
    } catch (\Throwable $error) {
        $reply = daybreak_failure($error);
    }
    \Daybreak\send($reply);
}
