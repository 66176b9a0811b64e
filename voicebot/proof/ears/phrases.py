"""What telephone bots say, whatever the business: the background of a caller's language model.

Plain customer-service English, written for this purpose and taken from no deployment; words as PocketSphinx's
en-us dictionary has them. Without such a background every sound would be read as one of the script's cues.
"""

GENERIC: tuple[str, ...] = tuple(
    """
hello
hello and welcome
good morning
good afternoon
thank you for calling
this call is recorded
this call may be recorded
i am an automated assistant
i'm an automated assistant
you are speaking with an automated assistant
how can i help
how can i help you
how can i help you today
how may i help you
what can i do for you
what can i do for you today
you can ask for a person at any time
press zero for a person
for a person press zero or just ask
just ask or press zero
please hold
please hold the line
please wait
one moment please
just a moment
let me check
let me check that for you
let me look that up
i can look that up
i can help with that
i'm sorry
i'm sorry about that
sorry
sorry i didn't catch that
i didn't understand that
i didn't get that
i'm not sure i understood
i'm having trouble hearing you
the line is not clear
could you say it again
could you say that again please
can you repeat that
please say it again
please say it one more time
please repeat the number one digit at a time
please say it in a few words
what is it about
did you want to ask about your order
did you mean your order
is that right
is that correct
please say yes or no
what is your order number
what is the order number
please say your order number
please tell me your order number
can i have your order number please
the order number has six digits
it has six digits
the number has five digits
what is your post code
what is the post code of the delivery address
what is your zip code
please say your zip code
please tell me the zip code
what is your name
what is your date of birth
please use your keypad
please use the keypad
let's use the keypad
type in the number on your keypad
please type in the six digits
please key in the five digits
please enter the number on your keypad
please enter it with the keys of your phone
press the keys on your phone
i couldn't match those details
i can't find that order
i have found your order
i found it
thank you
all right
okay
you're welcome
your order is on its way
your order was shipped
it was shipped on monday
it should arrive on tuesday
it should arrive on wednesday by mail
it will arrive on thursday
it will be delivered on friday
it was delivered on saturday
it is out for delivery today
it is being packed and should leave our warehouse soon
it is running late
the new delivery date is sunday
your order was cancelled
we have received your return
the money is on its way to your credit card
in january february march april may june july august september october november december
on the first second third fourth fifth sixth seventh eighth ninth tenth
on the eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
on the twentieth twenty first thirtieth thirty first
zero one two three four five six seven eight nine ten eleven twelve
twenty thirty forty fifty sixty seventy eighty ninety hundred
i have zero one two three four five six seven eight nine
we are open
we are open monday to friday from eight in the morning to six in the evening
we are open on saturday and sunday from ten to four
we open at nine and close at five
we are closed on holidays
we are closed on christmas day
you can return it within fourteen days
you can return it within sixty days of delivery and get your money back
you have thirty days to send it back
it should be unused and in its box
returning it is free
you can bring it to the store
use the return label
delivery is free above one hundred dollars
delivery costs ten dollars
shipping takes three to five business days
you can exchange it for another size
the warranty is two years
anything else
is there anything else
is there anything else i can help you with
what else can i do for you
can i help you with something else
i don't know that
i don't know that one and i don't want to guess
i'm afraid i can't help with that
shall i connect you with a person
i will connect you with a colleague now
i'll connect you now
i'll put you through to a person
i'll transfer you to an agent
a colleague will be with you shortly
they can see what we talked about
please stay on the line
are you still there
i'm still here
i can't hear you
i can't hear anyone
i will end the call now
please call again any time
goodbye
thank you for calling goodbye
have a nice day
where were we
we got cut off
i'm back
now back to your order
""".strip().splitlines()
)
