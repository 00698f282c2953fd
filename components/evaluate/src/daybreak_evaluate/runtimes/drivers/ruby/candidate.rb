# The answer's side: loads the program, then answers calls with plain data. Holds no test and no verdict.
require_relative 'values'

begin
  load '/job/program.rb'
rescue Exception => error # whatever the program breaks is the answer
  Daybreak.send_document({ 'error' => [error.class.name, error.message.to_s[0, 2000]] })
  exit!(0)
end
Daybreak.send_document({ 'value' => true })
while (request = Daybreak.receive)
  begin
    arguments = request['args'].map { |each| Daybreak.decode(each) }
    value = Daybreak.encode(method(request['name']).call(*arguments))
    reply = { 'value' => value }
    reply['args'] = arguments.map { |each| Daybreak.encode(each) rescue nil } if value.nil? # it works in place
  rescue Daybreak::NotPlain, SystemExit, SignalException, NoMemoryError => error
    reply = { 'broken' => "#{error.class}: #{error.message.to_s[0, 2000]}" }
  rescue Exception => error
    reply = { 'error' => [error.class.name, error.message.to_s[0, 2000]] }
  end
  Daybreak.send_document(reply)
end
exit!(0)
